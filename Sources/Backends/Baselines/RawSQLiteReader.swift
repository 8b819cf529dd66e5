#if SQLite
import CSQLite
import KVBackendBench
import KVProtocols

/// One thread's connection with its prepared statements.
final class RawSQLiteReader: BenchReader {
    private static let header = "ballot_counter, ballot_node, sequence, expires_at_ms, checksum, value"

    private let file: String
    private let checks: Bool
    private let connection: OpaquePointer
    private let get: OpaquePointer?
    private let page: OpaquePointer?
    private var buffer = ValueBuffer()

    init(_ file: String, checks: Bool) throws(StorageError) {
        self.file = file
        self.checks = checks
        connection = try RawSQLite.open(file, SQLITE_OPEN_READONLY)
        get = try RawSQLite.prepare(
            connection, "SELECT \(RawSQLiteReader.header) FROM records WHERE partition = ?1 AND key = ?2", file)
        page = try RawSQLite.prepare(
            connection,
            "SELECT \(RawSQLiteReader.header), key FROM records WHERE partition = ?1 AND key > ?2 ORDER BY key", file)
    }

    deinit {
        sqlite3_finalize(get)
        sqlite3_finalize(page)
        sqlite3_close_v2(connection)
    }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Int? {
        try withRow(partition, key) { () throws(StorageError) in
            if checks { return try checked(get, of: key).value?.count }
            if sqlite3_column_type(get, 5) == SQLITE_NULL { return nil }
            return take(get)
        }
    }

    func record(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try withRow(partition, key) { () throws(StorageError) in try checked(get, of: key) }
    }

    private func withRow<Result>(
        _ partition: PartitionID, _ key: Key, _ body: () throws(StorageError) -> Result?
    ) throws(StorageError) -> Result? {
        try key.bytes.withUnsafeBufferPointer { bytes throws(StorageError) in
            sqlite3_bind_int64(get, 1, Int64(partition.rawValue))
            RawSQLite.bindKey(get, bytes)
            defer { sqlite3_reset(get) }
            return try step(get) ? body() : nil
        }
    }

    private func step(_ statement: OpaquePointer?) throws(StorageError) -> Bool {
        let code = sqlite3_step(statement)
        guard code == SQLITE_ROW || code == SQLITE_DONE else {
            throw Baselines.failure("sqlite3_step", String(cString: sqlite3_errmsg(connection)), file)
        }
        return code == SQLITE_ROW
    }

    private func blob(_ statement: OpaquePointer?, _ column: Int32) -> UnsafeRawBufferPointer {
        let start = sqlite3_column_blob(statement, column)
        return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
    }

    private func take(_ statement: OpaquePointer?) -> Int {
        // The header's columns are fetched too: whoever reads a record wants its version.
        for column in 0..<5 as Range<Int32> { _ = sqlite3_column_int64(statement, column) }
        return buffer.take(blob(statement, 5))
    }

    private func checked(_ statement: OpaquePointer?, of key: Key) throws(StorageError) -> Record {
        let number = { (column: Int32) in UInt64(bitPattern: sqlite3_column_int64(statement, column)) }
        let version = Version(
            ballot: Ballot(counter: number(0), node: NodeID(UInt32(truncatingIfNeeded: number(1)))), sequence: number(2)
        )
        let isTombstone = sqlite3_column_type(statement, 5) == SQLITE_NULL
        let header = RecordHeader(
            Record(
                version: version, value: isTombstone ? nil : [], expiresAt: number(3),
                checksum: UInt32(truncatingIfNeeded: number(4))))
        guard let record = header.verifiedRecord(of: key, value: blob(statement, 5)) else {
            throw StorageError(.damaged, "a baseline read a damaged record", path: file)
        }
        return record
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> Int {
        try (request.after?.bytes ?? []).withUnsafeBufferPointer { after throws(StorageError) in
            sqlite3_bind_int64(page, 1, Int64(request.partition.rawValue))
            RawSQLite.bindKey(page, after)
            defer { sqlite3_reset(page) }
            var count = 0
            var entries: [ScanPage.Entry] = []
            while count < request.limit, try step(page) {
                count += 1
                if checks {
                    let key = Key(unchecked: Array(blob(page, 6)))
                    entries.append(ScanPage.Entry(key: key, record: try checked(page, of: key)))
                } else {
                    _ = take(page)
                }
            }
            return checks ? entries.count : count
        }
    }
}
#endif
