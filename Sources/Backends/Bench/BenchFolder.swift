import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A folder that one store of a comparison gets, and that is removed after it.
struct BenchFolder: Sendable {
    let path: String

    /// Creates an empty folder of mode 0700 in `parent`.
    init(in parent: String, name: String) throws(StorageError) {
        var template = Array("\(parent)/kv-bench-\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw StorageError(
                .io, "a folder can't be created; name an existing one that may be written with --path",
                cause: String(cString: strerror(errno)), path: parent)
        }
        path = template.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// The blocks that everything in it takes on the disk.
    func allocatedBytes() throws(StorageError) -> UInt64 {
        var total: UInt64 = 0
        try BenchFolder.walk(path) { entry, status in
            total += UInt64(status.st_blocks) * 512
            return true
        }
        return total
    }

    func remove() throws(StorageError) {
        try BenchFolder.walk(path) { entry, status in
            status.st_mode & S_IFMT == S_IFDIR ? rmdir(entry) == 0 : unlink(entry) == 0
        }
        guard rmdir(path) == 0 else { throw BenchFolder.failure("can't be removed", path) }
    }

    /// Calls `body` for everything below `folder`, contents before their folder.
    private static func walk(_ folder: String, _ body: (String, stat) -> Bool) throws(StorageError) {
        guard let stream = opendir(folder) else { throw failure("can't be listed", folder) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        closedir(stream)
        for name in names {
            let entry = "\(folder)/\(name)"
            var status = stat()
            guard lstat(entry, &status) == 0 else { throw failure("can't be looked at", entry) }
            if status.st_mode & S_IFMT == S_IFDIR { try walk(entry, body) }
            guard body(entry, status) else { throw failure("can't be removed", entry) }
        }
    }

    private static func failure(_ what: String, _ path: String) -> StorageError {
        StorageError(.io, "a folder of the comparison \(what)", cause: String(cString: strerror(errno)), path: path)
    }
}
