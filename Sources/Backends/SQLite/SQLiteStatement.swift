#if SQLite
import CSQLite
import KVProtocols

/// A prepared statement. Parameters are numbered from 1, columns from 0, as in SQLite.
///
/// A plain value of two pointers, valid while its connection is open.
struct SQLiteStatement {
    /// Tells SQLite to copy the bytes (`SQLITE_TRANSIENT`, a cast that Swift can't import).
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    let handle: OpaquePointer
    let connection: OpaquePointer

    @inline(__always)
    private func check(_ code: Int32) throws(SQLiteError) {
        guard code == SQLITE_OK else { throw SQLiteError(code: code, connection: connection) }
    }

    @inline(__always)
    func bind(_ parameter: Int32, _ value: Int64) throws(SQLiteError) {
        try check(sqlite3_bind_int64(handle, parameter, value))
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
        try check(code)
    }

    /// `nil` binds NULL.
    func bind(_ parameter: Int32, blob: [UInt8]?) throws(SQLiteError) {
        guard let blob else { return try check(sqlite3_bind_null(handle, parameter)) }
        guard !blob.isEmpty else { return try check(sqlite3_bind_zeroblob(handle, parameter, 0)) }
        let code = blob.withUnsafeBytes {
            sqlite3_bind_blob64(handle, parameter, $0.baseAddress, UInt64($0.count), SQLiteStatement.transient)
        }
        try check(code)
    }

    /// Binds a text without a copy: `text` must stay where it is until `reset`.
    func bind(_ parameter: Int32, borrowing text: UnsafeBufferPointer<UInt8>) throws(SQLiteError) {
        // A missing pointer would bind NULL, which is not the empty text.
        guard let start = text.baseAddress else {
            return try check(sqlite3_bind_text(handle, parameter, "", 0, SQLiteStatement.transient))
        }
        let characters = UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
        try check(sqlite3_bind_text(handle, parameter, characters, Int32(text.count), nil))
    }

    /// Binds a blob without a copy: `blob` must stay where it is until `reset`.
    func bind(_ parameter: Int32, borrowing blob: UnsafeRawBufferPointer) throws(SQLiteError) {
        guard let start = blob.baseAddress, !blob.isEmpty else {
            return try check(sqlite3_bind_zeroblob(handle, parameter, 0))
        }
        try check(sqlite3_bind_blob64(handle, parameter, start, UInt64(blob.count), nil))
    }

    func bindNull(_ parameter: Int32) throws(SQLiteError) { try check(sqlite3_bind_null(handle, parameter)) }

    /// Whether there is a row.
    @inline(__always)
    func step() throws(SQLiteError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE || code == SQLITE_OK else { throw SQLiteError(code: code, connection: connection) }
        return false
    }

    /// Runs a statement that returns no row, and makes it ready for the next run.
    func run() throws(SQLiteError) {
        defer { reset() }
        try finish()
    }

    /// Runs a statement to its end; `reset` is to follow.
    func finish() throws(SQLiteError) {
        while try step() {}
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func unsigned(_ column: Int32) -> UInt64 { UInt64(bitPattern: integer(column)) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    /// The bytes of a text or blob; empty for NULL.
    func bytes(_ column: Int32) -> [UInt8] {
        Array(borrowedBytes(column))
    }

    /// The bytes of a text or blob, valid until the next step or `reset`; empty for NULL.
    func borrowedBytes(_ column: Int32) -> UnsafeRawBufferPointer {
        guard let start = sqlite3_column_blob(handle, column) else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))
    }

    /// Ends the run and lets go of what was bound. Errors of the run were reported by `step`.
    func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    func finalize() { sqlite3_finalize(handle) }
}
#endif
