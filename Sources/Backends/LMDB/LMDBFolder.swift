#if LMDB
import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A process must not open an environment twice: closing one handle would drop the file locks of the other. This is
/// the list of the folders that are open in this process.
struct LMDBFolder: Sendable {
    private struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    private static let open = Mutex<Set<Identity>>([])
    private let identity: Identity

    /// Notes the folder as open.
    /// - Throws: `.inUse` when it is already, `.io` or `.readOnly` when it can't be used.
    init(claiming path: String) throws(StorageError) {
        var status = stat()
        guard stat(path, &status) == 0, access(path, W_OK) == 0 else {
            throw LMDBError(code: errno).storageError("the folder can't be opened", path: path)
        }
        let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        guard LMDBFolder.open.withLock({ $0.insert(identity).inserted }) else {
            throw StorageError(
                .inUse,
                "this process has the folder open already; close that backend first, or give each its own folder",
                path: path)
        }
        self.identity = identity
    }

    /// Makes the names of the files durable: LMDB syncs what is in them only.
    static func sync(_ path: String) throws(LMDBError) {
        let descriptor = Self.openFolder(path)
        guard descriptor >= 0 else { throw LMDBError(code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw LMDBError(code: errno) }
    }

    private static func openFolder(_ path: String) -> Int32 {
        #if canImport(Glibc)
        Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        #else
        Darwin.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        #endif
    }

    func release() {
        LMDBFolder.open.withLock { _ = $0.remove(identity) }
    }
}
#endif
