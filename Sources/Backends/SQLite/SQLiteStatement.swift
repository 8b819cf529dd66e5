#if SQLite
import CSQLite
import KVProtocols

/// A prepared statement. Parameters are numbered from 1, columns from 0, as in SQLite.
struct SQLiteStatement {
    /// Tells SQLite to copy the bytes (`SQLITE_TRANSIENT`, a cast that Swift can't import).
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    let handle: OpaquePointer
    unowned let connection: SQLiteConnection

    func bind(_ parameter: Int32, _ value: Int64) throws(SQLiteError) {
        try connection.check(sqlite3_bind_int64(handle, parameter, value))
    }

    /// Numbers without sign are stored with the same bits: SQLite has signed ones only.
    func bind(_ parameter: Int32, _ value: UInt64) throws(SQLiteError) {
        try bind(parameter, Int64(bitPattern: value))
    }

    func bind(_ parameter: Int32, text: [UInt8]) throws(SQLiteError) {
        let code = text.withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                // A missing pointer would bind NULL, which is not the empty text.
                guard let start = characters.baseAddress, !characters.isEmpty else {
                    return sqlite3_bind_text(handle, parameter, "", 0, SQLiteStatement.transient)
                }
                return sqlite3_bind_text(handle, parameter, start, Int32(characters.count), SQLiteStatement.transient)
            }
        }
        try connection.check(code)
    }

    /// `nil` binds NULL.
    func bind(_ parameter: Int32, blob: [UInt8]?) throws(SQLiteError) {
        guard let blob else { return try connection.check(sqlite3_bind_null(handle, parameter)) }
        guard !blob.isEmpty else { return try connection.check(sqlite3_bind_zeroblob(handle, parameter, 0)) }
        let code = blob.withUnsafeBytes {
            sqlite3_bind_blob64(handle, parameter, $0.baseAddress, UInt64($0.count), SQLiteStatement.transient)
        }
        try connection.check(code)
    }

    /// Whether there is a row.
    func step() throws(SQLiteError) -> Bool {
        let code = sqlite3_step(handle)
        try connection.check(code)
        return code == SQLITE_ROW
    }

    /// Runs a statement that returns no row, and makes it ready for the next run.
    func run() throws(SQLiteError) {
        defer { reset() }
        while try step() {}
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func unsigned(_ column: Int32) -> UInt64 { UInt64(bitPattern: integer(column)) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    /// The bytes of a text or blob; empty for NULL.
    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }

    /// Ends the run and lets go of what was bound. Errors of the run were reported by `step`.
    func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    func finalize() { sqlite3_finalize(handle) }
}
#endif
