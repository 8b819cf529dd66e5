#if SQLite
import CSQLite
import KVBackendBench
import KVProtocols

/// SQLite's calls with prepared statements on the engine's tables and settings, checkpoints at the engine's distance.
///
/// `@unchecked Sendable`: the writing connection is used by `apply` and `close` only, which one thread calls at a time.
final class RawSQLite: BenchTarget, @unchecked Sendable {
    private static let tables = """
        CREATE TABLE records (
            partition INTEGER NOT NULL, key TEXT NOT NULL COLLATE BINARY, ballot_counter INTEGER NOT NULL,
            ballot_node INTEGER NOT NULL, sequence INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL,
            checksum INTEGER NOT NULL, value BLOB, PRIMARY KEY (partition, key)
        ) WITHOUT ROWID;
        """
    private static let settings = """
        PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096;
        PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1; PRAGMA cache_size = -16384;
        PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = 0;
        """

    private let file: String
    private let checks: Bool
    private let connection: OpaquePointer
    private var put: OpaquePointer?
    private var purge: OpaquePointer?
    private var begin: OpaquePointer?
    private var commit: OpaquePointer?

    init(_ folder: String, checks: Bool) throws(StorageError) {
        file = "\(folder)/kv.sqlite3"
        self.checks = checks
        connection = try RawSQLite.open(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
        try execute(RawSQLite.settings)
        if try isEmpty() { try execute(RawSQLite.tables) }
        put = try RawSQLite.prepare(
            connection, "INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", file)
        purge = try RawSQLite.prepare(connection, "DELETE FROM records WHERE partition = ?1 AND key = ?2", file)
        begin = try RawSQLite.prepare(connection, "BEGIN IMMEDIATE", file)
        commit = try RawSQLite.prepare(connection, "COMMIT", file)
    }

    static func open(_ file: String, _ flags: Int32) throws(StorageError) -> OpaquePointer {
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(file, &opened, flags | SQLITE_OPEN_NOMUTEX, nil)
        guard let opened, code == SQLITE_OK else {
            sqlite3_close_v2(opened)
            throw Baselines.failure("sqlite3_open_v2", String(cString: sqlite3_errstr(code)), file)
        }
        sqlite3_busy_timeout(opened, 5000)
        return opened
    }

    static func prepare(_ connection: OpaquePointer, _ sql: String, _ file: String) throws(StorageError)
        -> OpaquePointer?
    {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK else {
            throw Baselines.failure("sqlite3_prepare_v3", String(cString: sqlite3_errmsg(connection)), file)
        }
        return statement
    }

    private func execute(_ sql: String) throws(StorageError) {
        try check(sqlite3_exec(connection, sql, nil, nil, nil), SQLITE_OK, "sqlite3_exec")
    }

    private func isEmpty() throws(StorageError) -> Bool {
        let statement = try RawSQLite.prepare(connection, "SELECT COUNT(*) FROM sqlite_schema", file)
        defer { sqlite3_finalize(statement) }
        try check(sqlite3_step(statement), SQLITE_ROW, "sqlite3_step")
        return sqlite3_column_int64(statement, 0) == 0
    }

    private func check(_ code: Int32, _ wanted: Int32, _ call: String) throws(StorageError) {
        guard code == wanted else {
            throw Baselines.failure(call, String(cString: sqlite3_errmsg(connection)), file)
        }
    }

    private func run(_ statement: OpaquePointer?) throws(StorageError) {
        let code = sqlite3_step(statement)
        sqlite3_reset(statement)
        try check(code, SQLITE_DONE, "sqlite3_step")
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        try run(begin)
        do throws(StorageError) {
            for operation in batch { try apply(operation) }
            try run(commit)
        } catch {
            sqlite3_exec(connection, "ROLLBACK", nil, nil, nil)
            throw error
        }
    }

    /// Bound without a copy: keys and values outlive the step.
    private func apply(_ operation: StorageOperation) throws(StorageError) {
        switch operation {
        case .put(let partition, let key, let record):
            try key.bytes.withUnsafeBufferPointer { key throws(StorageError) in
                try (record.value ?? []).withUnsafeBufferPointer { value throws(StorageError) in
                    sqlite3_bind_int64(put, 1, Int64(partition.rawValue))
                    RawSQLite.bindKey(put, key)
                    sqlite3_bind_int64(put, 3, Int64(bitPattern: record.version.ballot.counter))
                    sqlite3_bind_int64(put, 4, Int64(record.version.ballot.node.rawValue))
                    sqlite3_bind_int64(put, 5, Int64(bitPattern: record.version.sequence))
                    sqlite3_bind_int64(put, 6, Int64(bitPattern: record.expiresAt))
                    sqlite3_bind_int64(put, 7, Int64(record.checksum))
                    if record.isTombstone {
                        sqlite3_bind_null(put, 8)
                    } else if value.isEmpty {
                        sqlite3_bind_zeroblob(put, 8, 0)
                    } else {
                        sqlite3_bind_blob64(put, 8, value.baseAddress, UInt64(value.count), nil)
                    }
                    try run(put)
                }
            }
        case .purge(let partition, let key):
            try key.bytes.withUnsafeBufferPointer { key throws(StorageError) in
                sqlite3_bind_int64(purge, 1, Int64(partition.rawValue))
                RawSQLite.bindKey(purge, key)
                try run(purge)
            }
        default: throw Baselines.unsupported(file)
        }
    }

    static func bindKey(_ statement: OpaquePointer?, _ key: UnsafeBufferPointer<UInt8>) {
        guard let start = key.baseAddress else {
            sqlite3_bind_text(statement, 2, "", 0, nil)
            return
        }
        sqlite3_bind_text(
            statement, 2, UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self), Int32(key.count), nil)
    }

    func reader() throws(StorageError) -> any BenchReader { try RawSQLiteReader(file, checks: checks) }
    func prepareScans() throws(StorageError) {}

    func close() throws(StorageError) {
        for statement in [put, purge, begin, commit] { sqlite3_finalize(statement) }
        sqlite3_close_v2(connection)
    }
}
#endif
