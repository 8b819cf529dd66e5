#if SQLite
public import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Records in one SQLite database, `kv.sqlite3`, which the `sqlite3` shell can read while the node runs.
///
/// Write-ahead log with `synchronous=FULL`: a batch is one transaction, and `apply` returns after its fsync. One
/// connection writes and checkpoints; a few read-only ones serve reads, which see the state before or after a batch
/// and don't wait for it.
///
/// Opening moves the log of an earlier process into the database first, which is not possible while a shell is amid a
/// transaction: then it waits for 5 s and is refused as `.inUse`. A node that restarts doesn't go on with a log of which
/// nobody knows whether it is on the disk; end the shell's transaction and start again.
public final class SQLiteBackend: StorageBackend {
    /// The entry for the registry: type `sqlite`, option `readers` (connections for reading, 1 to 64; 4 unless given).
    public static let factory = BackendFactory(
        type: "sqlite", summary: "SQLite in WAL mode: one file, readable with the sqlite3 shell", options: ["readers"]
    ) { context throws(StorageError) in
        try SQLiteBackend(context)
    }

    /// Constant: atomic batches, scans in O(limit).
    public let capabilities = BackendCapabilities(
        atomicBatches: true, durable: true, orderedScan: true)

    /// A page of a scan ends after this many bytes of values, so that read transactions stay short.
    private static let pageBytes = 16 << 20

    private let partitions: Int
    private let path: String
    private let file: String
    /// `nil` once closed.
    private let writer: Mutex<SQLiteWriter?>
    private let readers: [SQLiteReader]
    private let isPoisoned = Atomic<Bool>(false)

    /// Opens the folder, or creates the database in it.
    /// - Throws: `.damaged`, `.foreign`, `.readOnly`, `.full`, `.inUse`, `.invalid` for an illegal option, `.io`.
    public init(_ context: BackendContext) throws(StorageError) {
        partitions = context.partitions
        path = context.path
        file = "\(path)/\(SQLiteSchema.fileName)"
        var readerCount = 4
        if let option = context.options["readers"] {
            guard let count = option.integer, 1...64 ~= count else {
                throw StorageError(.invalid, "option readers is a whole number from 1 to 64")
            }
            readerCount = Int(count)
        }
        try SQLiteFiles.create(file)
        do throws(SQLiteError) {
            let connection = try SQLiteConnection(file, .writing)
            writer = Mutex(try SQLiteWriter(connection))
            readers = (0..<readerCount).map { _ in SQLiteReader() }
        } catch {
            throw error.storageError("the database can't be opened", path: file)
        }
        try writer.withLock { writer throws(StorageError) in
            guard let writer else { return }
            try SQLiteSchema.prepare(writer.connection, path: file)
            do throws(SQLiteError) {
                try writer.moveLog()
            } catch {
                throw error.storageError("the log can't be moved into the database", path: file)
            }
            try SQLiteFiles.sync(path)
        }
        for reader in readers {
            do throws(SQLiteError) {
                try reader.open(file)
            } catch {
                throw error.storageError("the database can't be opened for reading", path: file)
            }
        }
    }

    // MARK: Reading

    /// See `StorageBackend.read`. O(log n).
    public func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try find(.read, partition, key) { row throws(StorageError) in
            guard let record = row.verifiedRecord(of: key, value: 5, isTombstone: row.isNull(5)) else {
                throw damaged("a record of partition \(partition)")
            }
            return record
        }
    }

    /// See `StorageBackend.version`. O(log n); the value is not loaded.
    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        try find(.readVersion, partition, key) { row throws(StorageError) in
            guard let header = row.header(isTombstone: true) else {
                throw damaged("a record of partition \(partition)")
            }
            return header.version
        }
    }

    private func damaged(_ what: String) -> StorageError {
        StorageError(.damaged, "\(what) fails verification; it has to come from another replica", path: file)
    }

    private func find<Result: Sendable>(
        _ wanted: SQLiteSchema.Query, _ partition: PartitionID, _ key: Key,
        _ body: (SQLiteStatement) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        try key.bytes.withUnsafeBufferPointer { bytes throws(StorageError) in
            try query(wanted) { statement throws(SQLiteError) in
                try statement.bind(1, Int64(partition.rawValue))
                try statement.bind(2, borrowing: bytes)
            } rows: { statement throws(StorageError) in
                try row(of: statement) ? body(statement) : nil
            }
        }
    }

    /// See `StorageBackend.scan`. O(log n + limit).
    public func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        let after = request.after.flatMap { $0.bytes.lexicographicallyPrecedes(request.prefix) ? nil : $0.bytes }
        let wanted = SQLiteSchema.Query.scan(values: request.values, inclusive: after == nil)
        return try query(wanted) { statement throws(SQLiteError) in
            try statement.bind(1, Int64(request.partition.rawValue))
            try statement.bind(2, text: after ?? request.prefix)
        } rows: { statement throws(StorageError) in
            var entries: [ScanPage.Entry] = []
            var bytes = 0
            while try row(of: statement) {
                let key = Key(unchecked: statement.bytes(6))
                guard key.hasPrefix(request.prefix) else { break }
                guard entries.count < max(request.limit, 1), bytes < SQLiteBackend.pageBytes else {
                    return ScanPage(entries: entries, isLast: false)
                }
                let isTombstone = statement.integer(5) != 0
                let record =
                    request.values
                    ? statement.verifiedRecord(of: key, value: 7, isTombstone: isTombstone)
                    : statement.header(isTombstone: isTombstone)?.record(value: [])
                bytes += record?.value?.count ?? 0
                entries.append(ScanPage.Entry(key: key, record: record))
            }
            return ScanPage(entries: entries, isLast: true)
        }
    }

    /// See `StorageBackend.metadata`. O(log n).
    public func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try query(.metadata) { statement throws(SQLiteError) in
            try statement.bind(1, SQLiteSchema.number(scope))
            try statement.bind(2, text: Array(name.utf8))
        } rows: { statement throws(StorageError) in
            guard try row(of: statement) else { return nil }
            let value = statement.bytes(1)
            guard statement.integer(0) == Int64(SQLiteSchema.metadataChecksum(scope, name, value)) else {
                throw damaged("metadata \(name)")
            }
            return value
        }
    }

    private func row(of statement: SQLiteStatement) throws(StorageError) -> Bool {
        do throws(SQLiteError) {
            return try statement.step()
        } catch {
            throw error.storageError("the database can't be read", path: file)
        }
    }

    /// A number that differs between most threads. Thread descriptors are at least a page apart.
    private static var threadNumber: Int {
        #if canImport(Glibc)
        Int(truncatingIfNeeded: (pthread_self() >> 12) &* 0x9E37_79B9 >> 16) & Int.max
        #else
        Int(truncatingIfNeeded: (UInt(bitPattern: pthread_self()) >> 12) &* 0x9E37_79B9 >> 16) & Int.max
        #endif
    }

    /// Runs a query on the thread's own reader, on another that is free, or waits for its own when none is. A thread stays
    /// with its reader, whose cache holds what it read before.
    private func query<Result: Sendable>(
        _ wanted: SQLiteSchema.Query, bind: (SQLiteStatement) throws(SQLiteError) -> Void,
        rows: (SQLiteStatement) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try checkPoison()
        let first = SQLiteBackend.threadNumber % readers.count
        for offset in 0..<readers.count {
            let reader = readers[(first &+ offset) % readers.count]
            let result = try reader.connection.withLockIfAvailable { connection throws(StorageError) in
                try run(wanted, on: connection, bind, rows)
            }
            if let result { return result }
        }
        return try readers[first % readers.count].connection.withLock { connection throws(StorageError) in
            try run(wanted, on: connection, bind, rows)
        }
    }

    private func run<Result: Sendable>(
        _ wanted: SQLiteSchema.Query, on connection: SQLiteConnection?,
        _ bind: (SQLiteStatement) throws(SQLiteError) -> Void,
        _ rows: (SQLiteStatement) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        guard let connection else { throw closed }
        let statement: SQLiteStatement
        do throws(SQLiteError) {
            statement = try connection.statement(wanted)
            try bind(statement)
        } catch {
            throw error.storageError("the database can't be read", path: file)
        }
        defer { statement.reset() }
        return try rows(statement)
    }

    private var closed: StorageError { StorageError(.closed, "the sqlite backend is closed", path: file) }

    private func checkPoison() throws(StorageError) {
        guard !isPoisoned.load(ordering: .relaxed) else {
            throw StorageError(.poisoned, "an earlier commit failed; restart the node to open it anew", path: file)
        }
    }

    // MARK: Writing

    /// See `StorageBackend.apply`. One transaction, all or nothing; from time to time a checkpoint of the log.
    public func apply(_ batch: [StorageOperation]) throws(StorageError) {
        try StorageOperation.validate(
            batch, partitions: partitions, maximumValueLength: capabilities.maximumValueLength)
        try checkPoison()
        try withWriter { writer throws(StorageError) in
            guard !batch.isEmpty else { return }
            do throws(SQLiteWriter.Failure) {
                try writer.apply(batch)
            } catch {
                switch error {
                case .rolledBack(let error): throw error.storageError("the batch can't be written", path: file)
                case .unknown(let error): throw poison("the commit failed", error)
                }
            }
            do throws(SQLiteError) {
                try writer.checkpointIfLong()
            } catch {
                throw poison("the checkpoint failed", error)
            }
        }
    }

    private func poison(_ what: String, _ error: SQLiteError) -> StorageError {
        isPoisoned.store(true, ordering: .relaxed)
        return StorageError(
            .poisoned, "\(what): whether the batch is on the disk is unknown; check the disk, then restart the node",
            cause: "\(error.message) (\(error.code))", path: file)
    }

    private func withWriter<Result: Sendable>(
        _ body: (SQLiteWriter) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try writer.withLock { writer throws(StorageError) in
            guard let writer else { throw closed }
            return try body(writer)
        }
    }

    /// See `StorageBackend.statistics`. Exact, O(1): the number of records is kept in the same transactions.
    public func statistics() throws(StorageError) -> BackendStatistics {
        let keys = try query(.count) { _ throws(SQLiteError) in
        } rows: { statement throws(StorageError) in
            try row(of: statement) ? statement.unsigned(0) : 0
        }
        let log = SQLiteFiles.size(of: "\(file)-wal")
        return BackendStatistics(
            keys: keys, bytesOnDisk: SQLiteFiles.size(of: file) + log, bytesFree: try SQLiteFiles.free(at: path),
            details: [("log_bytes", log)])
    }

    // MARK: Closing

    /// Waits for calls that run, then moves the log into the database and closes.
    public func close() throws(StorageError) {
        // Readers first: the connection that closes last runs the final checkpoint, and that is the writer's.
        for reader in readers { reader.close() }
        writer.withLock { writer in
            writer?.connection.close()
            writer = nil
        }
    }

    /// Closes and removes the database and its side files.
    public func destroy() throws(StorageError) {
        try checkPoison()
        try withWriter { _ throws(StorageError) in }
        try close()
        try SQLiteFiles.remove(file)
    }
}
#endif
