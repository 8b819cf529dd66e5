import KVProtocols

/// The directories of the backend, and what is read from their files.
///
/// A class, so that a reader holds all folders open by one reference.
final class FileFolders: Sendable {
    /// The longest value that the backend stores, in bytes.
    static let longestValue = 64 << 20
    static let hidden = [".backend-tombstones", ".backend-metadata", ".backend-temporary"]

    /// The data folder itself: one file per live key.
    let values: Folder
    /// One empty file per deleted key.
    let tombstones: Folder
    /// One file per named value: CRC32C over name and content in front of the content.
    let metadata: Folder
    /// Files that are not whole or not synced yet.
    let temporary: Folder

    init(_ path: String) throws(StorageError) {
        values = try Folder(opening: path)
        tombstones = try Folder(FileFolders.hidden[0], in: values)
        metadata = try Folder(FileFolders.hidden[1], in: values)
        temporary = try Folder(FileFolders.hidden[2], in: values)
    }

    subscript(place: KeyIndex.Place) -> Folder {
        switch place {
        case .value: values
        case .tombstone: tombstones
        }
    }

    // MARK: Records

    /// The header of a key's record; `nil` when the file is missing.
    /// - Throws: `.damaged` when there is none, or it doesn't fit the file.
    func header(_ place: KeyIndex.Place, _ key: Key) throws(StorageError) -> RecordHeader? {
        try withFile(place, key) { file throws(StorageError) in
            let header = try FileFolders.header(of: file, place)
            guard header.valueLength == (try file.length()) else { throw FileFolders.damaged("") }
            return header
        }
    }

    /// The verified record of a key; `nil` when the file is missing.
    func record(_ place: KeyIndex.Place, _ key: Key) throws(StorageError) -> Record? {
        try withFile(place, key) { file throws(StorageError) in
            let header = try FileFolders.header(of: file, place)
            // A damaged length must not make us ask for gigabytes.
            guard header.valueLength <= FileFolders.longestValue else { throw FileFolders.damaged("") }
            // One byte more than there must be, so that a longer file is noticed without asking for its length.
            guard let value = try file.read(header.valueLength, atMost: header.valueLength + 1) else {
                throw FileFolders.damaged("")
            }
            let record = header.record(value: value)
            guard record.isIntact(for: key) else { throw FileFolders.damaged("") }
            return record
        }
    }

    /// Runs `body` with a key's open file, and adds the file's path to its errors; `nil` when there is no file.
    @inline(__always)
    private func withFile<Result>(
        _ place: KeyIndex.Place, _ key: Key, _ body: (borrowing OpenFile) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        let folder = self[place]
        return try FileName.withName(of: key) { name throws(StorageError) in
            guard let file = try folder.file(name) else { return nil }
            do throws(StorageError) {
                return try body(file)
            } catch {
                var error = error
                error.path = "\(folder.path)/\(String(cString: name))"
                throw error
            }
        }
    }

    /// The header from the attribute. Only regular files can have it: something else in a record's place is damage.
    private static func header(of file: borrowing OpenFile, _ place: KeyIndex.Place) throws(StorageError)
        -> RecordHeader
    {
        guard let header = try file.header(), header.isTombstone == (place == .tombstone) else { throw damaged("") }
        return header
    }

    static func damaged(_ path: String) -> StorageError {
        StorageError(
            .damaged,
            "the file fails verification against its attribute \(OpenFile.headerAttribute): it was changed, "
                + "replaced or damaged, and has to come from another replica", path: path)
    }

    // MARK: Metadata

    static func name(_ scope: MetadataScope, _ name: String) -> String {
        switch scope {
        case .node: "node.\(name)"
        case .partition(let partition): metadataPrefix(partition) + name
        }
    }

    static func metadataPrefix(_ partition: PartitionID) -> String { "partition.\(partition.rawValue)." }

    /// The file that says that a wipe was begun; whoever opens the folder finishes it.
    static func wipeMark(_ partition: PartitionID) -> String { "\(wipeMarkPrefix)\(partition.rawValue)" }
    static let wipeMarkPrefix = "wiping."

    static func metadataContent(_ name: String, _ value: [UInt8]) -> [UInt8] {
        let checksum = CRC32C.checksum(Array(name.utf8) + value)
        return (0..<4).map { UInt8(truncatingIfNeeded: checksum >> UInt32($0 * 8)) } + value
    }

    /// The verified value of the file; `nil` when it is missing.
    func metadataValue(_ name: String) throws(StorageError) -> [UInt8]? {
        guard let file = try metadata.file(name) else { return nil }
        let length = try file.length()
        let path = "\(metadata.path)/\(name)"
        guard length <= MetadataScope.maximumValueLength + 4, let content = try file.read(length, atMost: length) else {
            throw FileFolders.damaged(path)
        }
        let value = Array(content.dropFirst(4))
        guard content == FileFolders.metadataContent(name, value) else {
            throw StorageError(
                .damaged,
                "the file fails verification; restore the folder, or empty it to let the node copy its data "
                    + "from the other replicas", path: path)
        }
        return value
    }
}
