#if SQLite
import CSQLite
import KVProtocols

/// One connection with its prepared statements.
///
/// `@unchecked Sendable`: each connection sits in a `Mutex`, the writing one with its `SQLiteWriter`, and is used only
/// while that lock is held; opened with `SQLITE_OPEN_NOMUTEX`, it has no lock of its own.
final class SQLiteConnection: @unchecked Sendable {
    enum Mode {
        /// Creates the file when it is missing.
        case writing
        /// Never writes and never checkpoints.
        case reading
    }

    let handle: OpaquePointer
    /// Prepared at their first use, at the place of their number.
    private var statements = [SQLiteStatement?](repeating: nil, count: SQLiteSchema.Query.allCases.count)

    init(_ file: String, _ mode: Mode) throws(SQLiteError) {
        let flags =
            switch mode {
            case .writing: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            case .reading: SQLITE_OPEN_READONLY
            }
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(file, &opened, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nil)
        guard let opened, code == SQLITE_OK else {
            let error = SQLiteError(code: code, connection: opened)
            sqlite3_close_v2(opened)
            throw error
        }
        // When a file can't be opened for writing, for want of a descriptor, say, SQLite opens it for reading and says nothing.
        if case .writing = mode, sqlite3_db_readonly(opened, "main") == 1 {
            let error = SQLiteError(code: SQLITE_READONLY, connection: nil)
            sqlite3_close_v2(opened)
            throw error
        }
        handle = opened
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, 5000)
    }

    deinit { close() }

    private var isClosed = false

    /// Finalizes the statements and closes; harmless when repeated.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        for statement in statements { statement?.finalize() }
        statements = []
        sqlite3_close_v2(handle)
    }

    /// Throws unless `code` means success, a row, or the end of rows.
    func check(_ code: Int32) throws(SQLiteError) {
        guard code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE else {
            throw SQLiteError(code: code, connection: handle)
        }
    }

    /// Runs statements that return nothing of interest.
    func execute(_ sql: String) throws(SQLiteError) {
        try check(sqlite3_exec(handle, sql, nil, nil, nil))
    }

    /// The prepared form of a query, kept for next time.
    @inline(__always)
    func statement(_ query: SQLiteSchema.Query) throws(SQLiteError) -> SQLiteStatement {
        if let known = statements[query.rawValue] { return known }
        let prepared = try prepare(query.text)
        statements[query.rawValue] = prepared
        return prepared
    }

    private func prepare(_ sql: String) throws(SQLiteError) -> SQLiteStatement {
        var prepared: OpaquePointer?
        try check(sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil))
        guard let prepared else { throw SQLiteError(code: SQLITE_MISUSE, connection: handle) }
        return SQLiteStatement(handle: prepared, connection: handle)
    }

    /// The first column of the first row as a number; 0 when there is none.
    func integer(_ sql: String) throws(SQLiteError) -> Int64 {
        let query = try prepare(sql)
        defer { query.finalize() }
        return try query.step() ? query.integer(0) : 0
    }
}
#endif
