#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif
public import KVProtocols

/// A node's folder on a disk: opened by one process at a time, readable by its owner alone, and marked with the type of
/// backend that lives in it.
///
/// Layout: the backend's files directly inside, the node's own in `.kv`: `lock` (held with `flock`, contains the
/// process id), `backend` (the marker) and `journal`.
///
/// `@unchecked Sendable`: `lock` changes only in `release`, which the owner calls once, at the end.
public final class DataFolder: @unchecked Sendable {
    private static let markerFormat = "kv-data-folder 1"

    /// As given to `init`.
    public let path: String
    /// The type of the backend that lives here.
    public let backendType: String
    /// Drawn when the folder was created.
    public let identity: UInt64
    private var lock: Int32

    /// Opens the folder, creating it (mode 0700, with missing parents) when there is none.
    /// - Throws: `.invalid` when other users may enter the folder, `.inUse` when a process has it open, `.foreign` when it
    ///   holds another backend's or somebody else's files, `.full`, `.readOnly`, `.io`.
    public init(path: String, backendType: String) throws(StorageError) {
        self.path = path
        self.backendType = backendType
        try DataFolder.createFolder(path)
        try DataFolder.checkMode(path)
        let hidden = "\(path)/.kv"
        let isNew = try !DataFolder.exists("\(hidden)/backend")
        if isNew { try DataFolder.requireUnused(path) }
        try DataFolder.createFolder(hidden)
        lock = try DataFolder.acquireLock("\(hidden)/lock")
        do {
            try DataFolder.createFolder("\(hidden)/journal")
            if isNew {
                identity = UInt64.random(in: 1...UInt64.max)
                try DataFolder.writeMarker(hidden, type: backendType, identity: identity)
            } else {
                identity = try DataFolder.readMarker("\(hidden)/backend", type: backendType)
            }
        } catch {
            _ = Posix.close(lock)
            throw error
        }
    }

    deinit { release() }

    var journalPath: String { "\(path)/.kv/journal" }

    /// Lets another process open the folder. Harmless when called again.
    public func release() {
        guard lock >= 0 else { return }
        _ = Posix.close(lock)
        lock = -1
    }

    private static func createFolder(_ path: String) throws(StorageError) {
        if mkdir(path, 0o700) == 0 {
            try Posix.syncFolder(parent(of: path))
            return
        }
        if errno == ENOENT {
            let above = parent(of: path)
            guard above != path else { throw Posix.error("create the folder", path: path) }
            try createFolder(above)
            return try createFolder(path)
        }
        guard errno == EEXIST else { throw Posix.error("create the folder", path: path) }
    }

    private static func parent(of path: String) -> String {
        var trimmed = path[...]
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    private static func checkMode(_ path: String) throws(StorageError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw Posix.error("inspect the data folder", path: path) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw StorageError(.invalid, "the data folder is not a folder", path: path)
        }
        guard status.st_mode & 0o077 == 0 else {
            throw StorageError(.invalid, "other users may enter the data folder; run: chmod 700 \(path)", path: path)
        }
    }

    private static func exists(_ path: String) throws(StorageError) -> Bool {
        var status = stat()
        if lstat(path, &status) == 0 { return true }
        guard errno == ENOENT else { throw Posix.error("inspect the data folder", path: path) }
        return false
    }

    /// A folder without a marker must be empty: the file backend would take anything in it for keys.
    private static func requireUnused(_ path: String) throws(StorageError) {
        let others = try SystemJournalFiles(path: path).names().filter { $0 != ".kv" && $0 != "lost+found" }
        guard let first = others.sorted().first else { return }
        throw StorageError(
            .foreign, "the folder is not a data folder, it already holds '\(first)'; choose an empty one", path: path)
    }

    private static func acquireLock(_ path: String) throws(StorageError) -> Int32 {
        let descriptor = try Posix.open(path, O_RDWR | O_CREAT, "open the lock")
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            defer { _ = Posix.close(descriptor) }
            guard number == EWOULDBLOCK else { throw Posix.error("lock the data folder", path: path, number: number) }
            let holder = try readText(descriptor, path: path).filter { $0.isNumber }
            throw StorageError(
                .inUse, "process \(holder.isEmpty ? "(unknown)" : holder) uses the data folder; stop it first",
                path: path)
        }
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
            let error = Posix.error("write the lock", path: path)
            _ = Posix.close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func writeMarker(_ hidden: String, type: String, identity: UInt64) throws(StorageError) {
        let text = Array("\(markerFormat)\nbackend \(type)\nid \(hexadecimal(identity))\n".utf8)
        let temporary = "\(hidden)/backend.new"
        let descriptor = try Posix.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, "create the marker")
        defer { _ = Posix.close(descriptor) }
        guard pwrite(descriptor, text, text.count, 0) == text.count, fsync(descriptor) == 0,
            rename(temporary, "\(hidden)/backend") == 0
        else { throw Posix.error("write the marker", path: temporary) }
        try Posix.syncFolder(hidden)
    }

    private static func readMarker(_ path: String, type: String) throws(StorageError) -> UInt64 {
        let descriptor = try Posix.open(path, O_RDONLY, "open the marker")
        defer { _ = Posix.close(descriptor) }
        let lines = try readText(descriptor, path: path).split(separator: "\n")
        guard lines.count == 3, lines[1].hasPrefix("backend "), lines[2].hasPrefix("id "),
            let identity = UInt64(lines[2].dropFirst(3), radix: 16)
        else { throw StorageError(.damaged, "the marker of the data folder can't be read", path: path) }
        guard lines[0] == markerFormat else {
            throw StorageError(
                .foreign, "the data folder is of a newer format (\(lines[0])); use the program that wrote it",
                path: path)
        }
        let found = lines[1].dropFirst("backend ".count)
        guard found == type else {
            throw StorageError(
                .foreign,
                "the folder holds data of the backend '\(found)', but '\(type)' is configured; set the backend's "
                    + "type to '\(found)', convert the data, or choose an empty folder", path: path)
        }
        return identity
    }

    private static func readText(_ descriptor: Int32, path: String) throws(StorageError) -> String {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        let count = try Posix.read(descriptor, at: 0, into: buffer, path: path)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
