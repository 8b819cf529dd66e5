#if SQLite
import CSQLite
import KVProtocols

/// The one connection that writes and checkpoints. Two of them at once could run into SQLite's WAL-reset defect, which
/// was repaired only in 3.51.3.
///
/// `@unchecked Sendable`: it sits in a `Mutex` and is used only while that lock is held; SQLite calls the hook that
/// writes `logPages` within a commit, and the function that writes `replaced` within a statement, so under the same lock.
final class SQLiteWriter: @unchecked Sendable {
    /// A checkpoint copies the log into the database after this many pages.
    private static let checkpointPages: Int32 = 4096
    /// From this many on, it also waits for readers, so that the log starts anew instead of growing.
    private static let restartPages: Int32 = 65536

    /// `SQLITE_IOERR_FSYNC`, a macro that Swift can't import.
    private static let failedSync = SQLITE_IOERR | 4 << 8

    let connection: SQLiteConnection
    /// Pages in the log, written by SQLite's hook at each commit.
    private let logPages = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

    /// An SQL function that gives back its argument and counts its calls: it tells in the same statement that a put replaced
    /// a record, which SQLite itself doesn't. Only the writing connection has it.
    static let replacedFunction = "kv_replaced"
    /// Calls of `replacedFunction`, counted by SQLite within a statement.
    private var replacedLast = false
    private let replaced = UnsafeMutablePointer<Int64>.allocate(capacity: 1)

    init(_ connection: SQLiteConnection) throws(SQLiteError) {
        self.connection = connection
        replaced.initialize(to: 0)
        logPages.initialize(to: SQLiteWriter.checkpointPages)
        sqlite3_wal_hook(
            connection.handle,
            { context, _, _, pages in
                context?.assumingMemoryBound(to: Int32.self).pointee = pages
                return SQLITE_OK
            }, logPages)
        try connection.check(
            sqlite3_create_function_v2(
                connection.handle, SQLiteWriter.replacedFunction, 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, replaced,
                { context, _, arguments in
                    sqlite3_user_data(context)?.assumingMemoryBound(to: Int64.self).pointee += 1
                    sqlite3_result_value(context, arguments?.pointee)
                }, nil, nil, nil))
    }

    deinit {
        connection.close()
        logPages.deallocate()
        replaced.deallocate()
    }

    /// What a failed batch means for the backend.
    enum Failure: Error {
        /// Rolled back; the connection goes on.
        case rolledBack(SQLiteError)
        /// The outcome is unknown.
        case unknown(SQLiteError)
    }

    /// One transaction; durable when it returns.
    func apply(_ batch: [StorageOperation]) throws(Failure) {
        do throws(SQLiteError) {
            try connection.statement(.begin).run()
            var added: Int64 = 0
            for operation in batch { added += try apply(operation) }
            if added != 0 {
                let statement = try connection.statement(.addToCount)
                try statement.bind(1, added)
                try statement.run()
            }
        } catch {
            try rollBack(after: error)
            throw .rolledBack(error)
        }
        do throws(SQLiteError) {
            try connection.statement(.commit).run()
        } catch {
            try rollBack(after: error)
            // Running out of space happens before the commit mark is written; syncing reports another code.
            guard error.primaryCode == SQLITE_FULL || error.primaryCode == SQLITE_BUSY else { throw .unknown(error) }
            throw .rolledBack(error)
        }
    }

    private func rollBack(after error: SQLiteError) throws(Failure) {
        // SQLite ends the transaction itself after some errors.
        if sqlite3_get_autocommit(connection.handle) == 0 {
            do throws(SQLiteError) {
                try connection.statement(.rollBack).run()
            } catch {
                throw .unknown(error)
            }
        }
        if error.code == SQLiteWriter.failedSync { throw .unknown(error) }
    }

    /// Moves the log into the database when it has become long.
    ///
    /// A full disk or readers in the way are no failure: the log keeps everything, and the next batch tries again.
    /// - Throws: another error, such as a failed fsync of the database.
    func checkpointIfLong() throws(SQLiteError) {
        guard logPages.pointee >= SQLiteWriter.checkpointPages else { return }
        let mode = logPages.pointee >= SQLiteWriter.restartPages ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE
        let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, mode, nil, nil)
        switch code & 0xFF {
        case SQLITE_OK, SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL: return
        default: throw SQLiteError(code: code, connection: connection.handle)
        }
    }

    /// Moves the whole log into the database and empties it; before anything is read.
    ///
    /// A process that ended before its log was synced, or because it couldn't be, leaves transactions that are seen and may
    /// be on no disk. Later ones would be appended behind them, and a power cut would take all. Syncing the log again
    /// would not do: after a failed sync the system takes for written what isn't. So what is seen is written once more.
    /// - Throws: `SQLITE_BUSY` while another program reads from the log; after the connection's timeout.
    func moveLog() throws(SQLiteError) {
        let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
        guard code == SQLITE_OK else { throw SQLiteError(code: code, connection: connection.handle) }
    }

    // MARK: Operations

    /// - Returns: by how much the number of records changed.
    @inline(never)
    private func apply(_ operation: StorageOperation) throws(SQLiteError) -> Int64 {
        switch operation {
        case .put(let partition, let key, let record):
            return try put(partition, key, record)
        case .purge(let partition, let key):
            let statement = try connection.statement(.purge)
            try statement.bind(1, Int64(partition.rawValue))
            try statement.bind(2, text: key.bytes)
            return try -changes(statement)
        case .metadata(let scope, let name, let value):
            try setMetadata(scope, name, value)
            return 0
        case .wipe(let partition):
            let metadata = try connection.statement(.wipeMetadata)
            try metadata.bind(1, Int64(partition.rawValue))
            try metadata.run()
            let records = try connection.statement(.wipeRecords)
            try records.bind(1, Int64(partition.rawValue))
            return try -changes(records)
        }
    }

    /// New keys come after new keys mostly, and overwrites after overwrites: so what the last put did chooses the statement.
    /// Updating is the cheaper one for a key that exists; inserting is right for both and tells which it was.
    private func put(_ partition: PartitionID, _ key: Key, _ record: Record) throws(SQLiteError) -> Int64 {
        if replacedLast {
            try run(connection.statement(.update), partition, key, record)
            if sqlite3_changes(connection.handle) > 0 { return 0 }
        }
        let before = replaced.pointee
        try run(connection.statement(.put), partition, key, record)
        replacedLast = replaced.pointee != before
        return replacedLast ? 0 : 1
    }

    private func run(
        _ statement: SQLiteStatement, _ partition: PartitionID, _ key: Key, _ record: Record
    ) throws(SQLiteError) {
        defer { statement.reset() }
        try statement.bind(1, Int64(partition.rawValue))
        try statement.bind(3, record.version.ballot.counter)
        try statement.bind(4, Int64(record.version.ballot.node.rawValue))
        try statement.bind(5, record.version.sequence)
        try statement.bind(6, record.expiresAt)
        try statement.bind(7, Int64(record.checksum))
        try key.bytes.withUnsafeBufferPointer { key throws(SQLiteError) in
            try statement.bind(2, borrowing: key)
            guard let value = record.value else {
                try statement.bindNull(8)
                return try statement.finish()
            }
            try value.withUnsafeBufferPointer { value throws(SQLiteError) in
                try statement.bind(8, borrowing: UnsafeRawBufferPointer(value))
                try statement.finish()
            }
        }
    }

    private func setMetadata(_ scope: MetadataScope, _ name: String, _ value: [UInt8]?) throws(SQLiteError) {
        let statement = try connection.statement(value == nil ? .removeMetadata : .putMetadata)
        try statement.bind(1, SQLiteSchema.number(scope))
        try statement.bind(2, text: Array(name.utf8))
        if let value {
            try statement.bind(3, Int64(SQLiteSchema.metadataChecksum(scope, name, value)))
            try statement.bind(4, blob: value)
        }
        try statement.run()
    }

    private func changes(_ statement: SQLiteStatement) throws(SQLiteError) -> Int64 {
        try statement.run()
        return Int64(sqlite3_changes(connection.handle))
    }
}
#endif
