#if LMDB
import CLMDB
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension LMDBEnvironment {
    private static let newFileName = ".backend-new.mdb"

    /// Makes `data.mdb` with its two root pages, under another name until it is whole and durable. LMDB itself would write
    /// them into the file in place, and never open it again when a power cut or a full disk left a part of them.
    static func createIfMissing(_ path: String, mapSize: Int) throws(LMDBError) {
        var status = stat()
        if lstat("\(path)/data.mdb", &status) == 0 {
            // A link that leads nowhere is no reason to begin anew, nor is an empty file: an unfinished one has another name.
            guard stat("\(path)/data.mdb", &status) == 0 else { throw LMDBError(code: errno) }
            guard status.st_size > 0 else { throw .cutOff }
            return
        }
        guard errno == ENOENT else { throw LMDBError(code: errno) }
        let file = "\(path)/\(newFileName)"
        guard unlink(file) == 0 || errno == ENOENT else { throw LMDBError(code: errno) }
        do throws(LMDBError) {
            try create(file, mapSize: mapSize)
            guard rename(file, "\(path)/data.mdb") == 0 else { throw LMDBError(code: errno) }
        } catch {
            // The next attempt removes it as well.
            unlink(file)
            throw error
        }
    }

    private static func create(_ file: String, mapSize: Int) throws(LMDBError) {
        var created: OpaquePointer?
        try LMDBError.check(mdb_env_create(&created))
        guard let handle = created else { throw LMDBError(code: ENOMEM) }
        defer { mdb_env_close(handle) }
        try LMDBError.check(mdb_env_set_mapsize(handle, mapSize))
        try LMDBError.check(mdb_env_open(handle, file, UInt32(MDB_NOSUBDIR | MDB_NOLOCK), 0o600))
        var descriptor: mdb_filehandle_t = -1
        try LMDBError.check(mdb_env_get_fd(handle, &descriptor))
        guard fsync(descriptor) == 0 else { throw LMDBError(code: errno) }
    }
}
#endif
