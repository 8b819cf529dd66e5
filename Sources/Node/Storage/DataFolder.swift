public import KVProtocols

/// A node's folder on a disk: opened by one process at a time, readable by its owner alone, and marked with the type of
/// backend that lives in it.
///
/// Layout: the backend's files directly inside, the node's own in `.kv`: `lock` (held with `flock`, contains the
/// process id), `backend` (the marker) and `journal`. Folders `.kv-old-...` hold what was set aside.
public final class DataFolder: Sendable {
    private static let markerFormat = "kv-data-folder 1"
    static let markerName = "backend"

    /// As given to `init`.
    public let path: String
    /// The type of the backend that lives here.
    public let backendType: String
    /// Drawn when the folder was created.
    public let identity: UInt64
    let disk: any StorageDisk
    private let lock: any StorageLock

    /// Opens the folder, creating it (mode 0700, with missing parents) when there is none.
    ///
    /// Finishes what an interrupted `setAside` began, of whatever type the data was, and then holds nothing: see `isBeingSetAside`.
    /// - Throws: `.invalid` when other users may enter the folder, `.inUse` when a process has it open, `.foreign` when it
    ///   holds another backend's or somebody else's files, was converted, or is being converted into, `.damaged` when its
    ///   marker is gone or can't be read, `.full`, `.readOnly`, `.io`.
    public convenience init(path: String, backendType: String) throws(StorageError) {
        try self.init(
            path: path, backendType: backendType, disk: SystemDisk(), newIdentity: UInt64.random(in: 1...UInt64.max))
    }

    /// - Parameter newIdentity: of a folder without data; `nil` opens only one that a node has left, and begins and finishes
    ///   nothing in it.
    init(
        path: String, backendType: String, disk: any StorageDisk, newIdentity: UInt64?
    ) throws(StorageError) {
        self.path = path
        self.backendType = backendType
        self.disk = disk
        try DataFolder.makeDurable(path, disk)
        try DataFolder.checkPermissions(path, disk)
        let hidden = "\(path)/.kv"
        // Before anything is put into it: somebody's folder is left as it was.
        try DataFolder.requireOwn(path, disk)
        try DataFolder.makeDurable(hidden, disk)
        lock = try disk.lock("\(hidden)/lock")
        do throws(StorageError) {
            try DataFolder.refuseConverted(path, disk)
            try DataFolder.refuseConverting(path, disk)
            if newIdentity == nil { try DataFolder.refuseHalfSetAside(path, disk) }
            try DataFolder.finishSettingAside(path, disk)
            // Syncs `hidden` in any case, so also the name of a marker whose process died before it could.
            try DataFolder.makeDurable("\(hidden)/journal", disk)
            // Only now: another process may have made the marker before it let go of the lock.
            if try disk.names(in: hidden).contains(DataFolder.markerName) {
                identity = try DataFolder.readMarker("\(hidden)/\(DataFolder.markerName)", type: backendType, disk)
            } else {
                try DataFolder.requireNoJournal("\(hidden)/journal", disk)
                guard let newIdentity else {
                    throw StorageError(.foreign, "the folder holds no data of a node", path: path)
                }
                identity = newIdentity
                try DataFolder.writeMarker(hidden, type: backendType, identity: identity, disk)
            }
        } catch {
            lock.release()
            throw error
        }
    }

    deinit { release() }

    var journal: JournalFolder { JournalFolder(disk: disk, path: "\(path)/.kv/journal") }

    /// Lets another process open the folder. Harmless when called again.
    public func release() { lock.release() }

    /// Makes the folder if there is none. Its name is made durable in either case: whoever made it may not have.
    static func makeDurable(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        let above = parent(of: path)
        switch try disk.makeFolder(path) {
        case .made:
            try disk.syncFolder(above)
        case .existed:
            do {
                try disk.syncFolder(above)
            } catch  where error.code == .readOnly {
                // A folder above that we may not read is not ours: who made this one in it answers for its name.
            }
        case .missesParent:
            guard above != path else { throw StorageError(.io, "could not create the folder", path: path) }
            try makeDurable(above, disk)
            try makeDurable(path, disk)
        }
    }

    private static func parent(of path: String) -> String {
        var trimmed = path[...]
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    static func checkPermissions(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        guard let bits = try disk.permissions(ofFolder: path) else {
            throw StorageError(.invalid, "the data folder is not a folder", path: path)
        }
        guard bits & 0o077 == 0 else {
            throw StorageError(.invalid, "other users may enter the data folder; run: chmod 700 \(path)", path: path)
        }
    }

    /// A folder without a marker must be empty: the file backend would take anything in it for keys.
    private static func requireOwn(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        let names = try disk.names(in: path)
        if names.contains(".kv") {
            let hidden = try disk.names(in: "\(path)/.kv")
            if [markerName, asideName, convertingName].contains(where: hidden.contains) { return }
        }
        guard let first = names.filter({ isContent($0) }).sorted().first else { return }
        throw StorageError(
            .foreign, "the folder is not a data folder, it already holds '\(first)'; choose an empty one", path: path)
    }

    /// The marker is durable before the journal begins: without it, segments are the rest of a damaged folder.
    private static func requireNoJournal(_ path: String, _ disk: any StorageDisk) throws(StorageError) {
        guard try disk.names(in: path).contains(where: { SegmentHeader.number(of: $0) != nil }) else { return }
        throw StorageError(
            .damaged,
            "the marker of the data folder is gone, but it holds a journal; move the data folder away, so that the node "
                + "joins again as an empty one and gets its data from the other replicas", path: path)
    }

    static func writeMarker(
        _ hidden: String, type: String, identity: UInt64, _ disk: any StorageDisk
    ) throws(StorageError) {
        try writeText("\(markerFormat)\nbackend \(type)\nid \(hexadecimal(identity))\n", hidden, markerName, disk)
    }

    /// Puts a small file into a folder: after a crash it is there as a whole or not at all; durable when this returns.
    static func writeText(
        _ text: String, _ folder: String, _ name: String, _ disk: any StorageDisk
    ) throws(StorageError) {
        let text = Array(text.utf8)
        let temporary = "\(folder)/\(name).new"
        // Left behind by a crash.
        if try disk.names(in: folder).contains("\(name).new") { try disk.remove(temporary) }
        let file = try disk.create(temporary, length: text.count)
        defer { file.close() }
        try file.write(text, at: 0)
        try file.sync()
        try disk.rename(temporary, to: "\(folder)/\(name)")
        try disk.syncFolder(folder)
    }

    private static func readMarker(
        _ path: String, type: String, _ disk: any StorageDisk
    ) throws(StorageError) -> UInt64 {
        let marker = try marker(path, disk)
        guard marker.type == type else {
            throw StorageError(
                .foreign,
                "the folder holds data of the backend '\(marker.type)', but '\(type)' is configured; set the backend's "
                    + "type to '\(marker.type)', convert the data, or choose an empty folder", path: path)
        }
        return marker.identity
    }

    static func marker(
        _ path: String, _ disk: any StorageDisk
    ) throws(StorageError) -> (type: String, identity: UInt64) {
        let lines = try readText(path, disk).split(separator: "\n")
        guard lines.count == 3, lines[1].hasPrefix("backend "), lines[2].hasPrefix("id "),
            let identity = UInt64(lines[2].dropFirst(3), radix: 16)
        else { throw StorageError(.damaged, "the marker of the data folder can't be read", path: path) }
        guard lines[0] == markerFormat else {
            throw StorageError(
                .foreign, "the data folder is of a newer format (\(lines[0])); use the program that wrote it",
                path: path)
        }
        return (String(lines[1].dropFirst("backend ".count)), identity)
    }

    static func readText(_ path: String, _ disk: any StorageDisk) throws(StorageError) -> String {
        let file = try disk.open(path)
        defer { file.close() }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        let count = try file.read(at: 0, into: buffer)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
