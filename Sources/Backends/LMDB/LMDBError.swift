#if LMDB
import CLMDB
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A return code of LMDB: 0, an `MDB_...` constant, or an errno.
struct LMDBError: Error {
    var code: Int32

    /// The file is shorter than its own records say. Reading a page that is missing would end the process (SIGBUS).
    static let cutOff = LMDBError(code: .min)

    /// Throws unless `code` is success.
    static func check(_ code: Int32) throws(LMDBError) {
        guard code == MDB_SUCCESS else { throw LMDBError(code: code) }
    }

    var isMapFull: Bool { code == MDB_MAP_FULL }
    var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }

    /// What a caller of the contract is told.
    func storageError(_ doing: String, path: String) -> StorageError {
        let text = String(cString: mdb_strerror(code))
        switch code {
        case ENOSPC, EDQUOT:
            return StorageError(
                .full, "\(doing): the disk is full; free some space and go on, nothing is lost", cause: text, path: path
            )
        case EROFS, EACCES, EPERM:
            return StorageError(
                .readOnly, "\(doing): the folder can't be written; check its owner, its mode and the mount",
                cause: text,
                path: path)
        case LMDBError.cutOff.code:
            return StorageError(
                .damaged,
                "data.mdb is shorter than its own records say: the file was cut off. Restore the folder, or "
                    + "empty it to let the node copy its data from the other replicas", path: path)
        case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INCOMPATIBLE:
            return StorageError(
                .damaged,
                "\(doing): the database file is damaged; restore the folder, or empty it to let the node copy "
                    + "its data from the other replicas", cause: text, path: path)
        case MDB_INVALID, MDB_VERSION_MISMATCH:
            return StorageError(
                .foreign, "\(doing): data.mdb was not written by this version of LMDB; use another folder", cause: text,
                path: path)
        case MDB_PANIC:
            return StorageError(
                .poisoned, "\(doing): an earlier commit failed; restart the node", cause: text, path: path)
        case MDB_READERS_FULL:
            return StorageError(
                .io, "\(doing): too many processes read this environment; end the others", cause: text, path: path)
        case MDB_TXN_FULL:
            return StorageError(.invalid, "\(doing): the batch is too large; split it", cause: text, path: path)
        case ENOMEM:
            return StorageError(
                .io, "\(doing): not enough memory or address space; raise the limit (ulimit -v)", cause: text,
                path: path)
        default:
            return StorageError(.io, doing, cause: "\(text) (\(code))", path: path)
        }
    }
}
#endif
