#if SQLite
import CSQLite
import KVProtocols

/// An extended result code of SQLite with the connection's own message.
struct SQLiteError: Error {
    var code: Int32
    var message: String

    init(code: Int32, connection: OpaquePointer?) {
        self.code = code
        message = connection.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
    }

    var primaryCode: Int32 { code & 0xFF }

    /// `SQLITE_IOERR_SHMSIZE`, a macro that Swift can't import: the index beside the log can't grow, for want of space.
    private static let noSpaceForIndex = SQLITE_IOERR | 19 << 8

    /// What a caller of the contract is told.
    func storageError(_ doing: String, path: String) -> StorageError {
        let cause = "\(message) (\(code))"
        switch code == SQLiteError.noSpaceForIndex ? SQLITE_FULL : primaryCode {
        case SQLITE_FULL:
            return StorageError(
                .full, "\(doing): the disk is full; free some space and go on, nothing is lost", cause: cause,
                path: path)
        case SQLITE_READONLY, SQLITE_PERM, SQLITE_AUTH:
            return StorageError(
                .readOnly, "\(doing): the database can't be written; check its owner, its mode and the mount",
                cause: cause, path: path)
        case SQLITE_CORRUPT:
            return StorageError(
                .damaged,
                "\(doing): the database is damaged; restore the folder, or empty it to let the node copy its "
                    + "data from the other replicas", cause: cause, path: path)
        case SQLITE_NOTADB:
            return StorageError(
                .damaged,
                "\(doing): the file is not an SQLite database; restore the folder, or empty it to let the "
                    + "node copy its data from the other replicas", cause: cause, path: path)
        case SQLITE_BUSY, SQLITE_LOCKED:
            return StorageError(
                .inUse, "\(doing): another process uses the database; end it and try again", cause: cause,
                path: path)
        case SQLITE_TOOBIG:
            return StorageError(.invalid, "\(doing): a value is too long for SQLite", cause: cause, path: path)
        default:
            return StorageError(.io, doing, cause: cause, path: path)
        }
    }
}
#endif
