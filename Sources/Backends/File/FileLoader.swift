import KVProtocols

/// Brings a folder into a clean state and lists its keys.
struct FileLoader {
    let folders: FileFolders
    let partitions: Int
    private(set) var indexes: [KeyIndex]
    /// Entries of the folder that are no records: other files, links, folders.
    private(set) var ignored = 0

    /// Opens the folder. O(number of keys), without opening their files.
    /// - Throws: `.unsupported`, `.readOnly`, `.full`, `.io`.
    init(_ path: String, partitions: Int) throws(StorageError) {
        folders = try FileFolders(path)
        self.partitions = partitions
        indexes = [KeyIndex](repeating: KeyIndex(), count: partitions)
        try sweep()
        try probe()
        // What is visible now may have been renamed by a process that ended before it synced, and what it replaces goes away
        // next.
        try sync()
        try list()
        try finishWipes()
        try sync()
    }

    private func sync() throws(StorageError) {
        for folder in [folders.values, folders.tombstones, folders.metadata] {
            let code = folder.sync()
            guard code == 0 else { throw .system(code, "the folder can't be synced", path: folder.path) }
        }
    }

    private func sweep() throws(StorageError) {
        var names: [String] = []
        _ = try folders.temporary.forEachFile { names.append($0) }
        for name in names { try folders.temporary.remove(name) }
    }

    /// Finds out whether the file system can do what is needed, by trying.
    private func probe() throws(StorageError) {
        let name = "probe-\u{E9}"
        do throws(StorageError) {
            let file = try folders.temporary.newFile(name)
            try file.setAttribute(OpenFile.headerAttribute, [UInt8](repeating: 0, count: RecordHeader.length))
        } catch {
            do throws(StorageError) { try folders.temporary.remove(name) } catch {}
            throw error
        }
        let isExact = !folders.temporary.exists("PROBE-\u{E9}") && !folders.temporary.exists("probe-e\u{301}")
        try folders.temporary.remove(name)
        guard isExact else {
            throw StorageError(
                .unsupported,
                "this file system takes names that differ in case or accents for one, so keys would "
                    + "overwrite one another; use a case-sensitive one, or the backend sqlite or lmdb",
                path: folders.values.path)
        }
    }

    private mutating func list() throws(StorageError) {
        for place in [KeyIndex.Place.value, .tombstone] {
            var keys: [Key] = []
            var strangers = 0
            strangers += try folders[place].forEachFile { name throws(StorageError) in
                if name.utf8.first == UInt8(ascii: ".") { return }
                if let key = try key(of: name, place) { keys.append(key) } else { strangers += 1 }
            }
            for key in keys {
                let partition = Int(key.partition(of: partitions).rawValue)
                if indexes[partition].set(key, place) == .value, place == .tombstone {
                    indexes[partition].set(key, try keepNewer(of: key))
                }
            }
            ignored += strangers
        }
    }

    private func key(of name: String, _ place: KeyIndex.Place) throws(StorageError) -> Key? {
        guard FileName.isHashed(name) else { return FileName.key(of: name) }
        guard let file = try folders[place].file(name),
            let bytes = try file.attribute(OpenFile.keyAttribute, limit: Key.maximumLength)
        else { return nil }
        let key = Key(unchecked: bytes)
        return !bytes.isEmpty && FileName.name(of: key) == name ? key : nil
    }

    /// A crash came between renaming a record into its place and removing its predecessor from the other place: the
    /// batch had not been acknowledged, so either is right, and the newer one is wanted.
    private func keepNewer(of key: Key) throws(StorageError) -> KeyIndex.Place {
        let value = try version(.value, key)
        let tombstone = try version(.tombstone, key)
        let place: KeyIndex.Place = (value ?? .zero) > (tombstone ?? .zero) ? .value : .tombstone
        try folders[place == .value ? .tombstone : .value].remove(FileName.name(of: key))
        return place
    }

    private func version(_ place: KeyIndex.Place, _ key: Key) throws(StorageError) -> Version? {
        do throws(StorageError) {
            return try folders.header(place, key)?.version
        } catch  where error.code == .damaged {
            return nil
        }
    }

    private mutating func finishWipes() throws(StorageError) {
        var marked: [PartitionID] = []
        _ = try folders.metadata.forEachFile { name in
            guard name.hasPrefix(FileFolders.wipeMarkPrefix),
                let number = UInt16(name.dropFirst(FileFolders.wipeMarkPrefix.count)), Int(number) < partitions
            else { return }
            marked.append(PartitionID(number))
        }
        for partition in marked {
            let keys = indexes[Int(partition.rawValue)].page(after: nil, prefix: [], limit: .max).keys
            indexes[Int(partition.rawValue)] = KeyIndex()
            try folders.finishWipe(partition, keys)
        }
    }
}

extension FileFolders {
    /// Removes the files of `keys` and the partition's metadata, and last the mark, each step durable before the next.
    func finishWipe(_ partition: PartitionID, _ keys: [Key]) throws(StorageError) {
        for key in keys {
            let name = FileName.name(of: key)
            try values.remove(name)
            try tombstones.remove(name)
        }
        var names: [String] = []
        _ = try metadata.forEachFile { if $0.hasPrefix(FileFolders.metadataPrefix(partition)) { names.append($0) } }
        for name in names { try metadata.remove(name) }
        try synced([values, tombstones, metadata])
        try metadata.remove(FileFolders.wipeMark(partition))
        try synced([metadata])
    }

    /// - Throws: `.poisoned` when one can't be synced.
    func synced(_ folders: [Folder]) throws(StorageError) {
        for folder in folders {
            let code = folder.sync()
            guard code == 0 else { throw .poisoning(code, path: folder.path) }
        }
    }
}

extension StorageError {
    /// A failed fsync.
    static func poisoning(_ code: Int32, path: String) -> StorageError {
        let cause = StorageError.system(code, "", path: path).cause
        return StorageError(
            .poisoned,
            "fsync failed: whether the batch is on the disk is unknown; check the disk, then restart the node",
            cause: cause, path: path)
    }
}
