#if SQLite
import CSQLite
import KVProtocols

/// The database: two tables that a person can read with the `sqlite3` shell, for example
/// `SELECT partition, key, CAST(value AS TEXT) FROM records`.
enum SQLiteSchema {
    static let fileName = "kv.sqlite3"
    /// What SQLite keeps beside the database while it is open.
    static let sideFileSuffixes = ["-wal", "-shm", "-journal"]
    /// "kvst" in ASCII: `file` and other programs recognise the database by it.
    private static let applicationID: Int64 = 0x6B76_7374
    private static let version: Int64 = 1

    /// `value` is NULL for a tombstone, and the last column, so that a scan without values needn't load it. Counters
    /// beyond 2^63 appear negative: SQLite has no unsigned numbers.
    private static let tables = """
        CREATE TABLE records (
            partition INTEGER NOT NULL,
            key TEXT NOT NULL COLLATE BINARY,
            ballot_counter INTEGER NOT NULL,
            ballot_node INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            expires_at_ms INTEGER NOT NULL,
            checksum INTEGER NOT NULL,
            value BLOB,
            PRIMARY KEY (partition, key)
        ) WITHOUT ROWID;
        CREATE TABLE metadata (
            partition INTEGER NOT NULL, -- -1: of the node
            name TEXT NOT NULL,
            checksum INTEGER NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (partition, name)
        ) WITHOUT ROWID;
        CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO counts VALUES ('records', 0);
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(version);
        """

    /// Prepares the writing connection: settings, then tables when the database is new.
    /// - Throws: `.foreign` when it holds something else or has a newer format.
    static func prepare(_ connection: SQLiteConnection, path: String) throws(StorageError) {
        do throws(SQLiteError) {
            // FULL syncs the log at every commit. Checkpoints are run by `SQLiteWriter`, which looks at their errors: its hook
            // took the place of SQLite's own. Setting wal_autocheckpoint, even to 0, would take that hook away.
            try connection.execute(
                """
                PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1; PRAGMA cache_size = -16384;
                PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = 0;
                """)
            if try connection.integer("SELECT COUNT(*) FROM sqlite_schema") == 0 {
                try connection.execute("BEGIN IMMEDIATE; \(tables) COMMIT;")
            }
            // Its log or index may have been opened for reading only, which nothing but a write tells.
            try connection.execute("BEGIN IMMEDIATE; COMMIT;")
        } catch {
            throw error.storageError("the database can't be opened", path: path)
        }
        let found: (application: Int64, version: Int64)
        do throws(SQLiteError) {
            found = try (connection.integer("PRAGMA application_id"), connection.integer("PRAGMA user_version"))
        } catch {
            throw error.storageError("the database can't be read", path: path)
        }
        guard found.application == applicationID else {
            throw StorageError(
                .foreign, "\(fileName) belongs to another program; use another folder", path: path)
        }
        guard found.version == version else {
            throw StorageError(
                .foreign,
                "\(fileName) has format \(found.version), this program knows \(version); use the newer program",
                path: path)
        }
    }

    // MARK: Statements

    private static let header = "ballot_counter, ballot_node, sequence, expires_at_ms, checksum"

    /// The statements that are kept prepared. Numbered, because looking them up by their text costs as much as a short read.
    enum Query: Int, CaseIterable {
        case begin, commit, rollBack
        case read, readVersion, metadata, count
        /// Columns 0 to 4 are the header, 5 tells a tombstone, 6 is the key, 7 the value if wanted.
        case scanFrom, scanAfter, scanKeysFrom, scanKeysAfter
        /// Stores a record, and calls `SQLiteWriter.replacedFunction` when the key had one.
        case put
        case update
        case purge, wipeRecords, wipeMetadata, putMetadata, removeMetadata, addToCount

        static func scan(values: Bool, inclusive: Bool) -> Query {
            switch (values, inclusive) {
            case (true, true): .scanFrom
            case (true, false): .scanAfter
            case (false, true): .scanKeysFrom
            case (false, false): .scanKeysAfter
            }
        }

        var text: String {
            switch self {
            case .begin: "BEGIN IMMEDIATE"
            case .commit: "COMMIT"
            case .rollBack: "ROLLBACK"
            case .read: "SELECT \(header), value FROM records WHERE partition = ?1 AND key = ?2"
            case .readVersion: "SELECT \(header) FROM records WHERE partition = ?1 AND key = ?2"
            case .metadata: "SELECT checksum, value FROM metadata WHERE partition = ?1 AND name = ?2"
            case .count: "SELECT value FROM counts WHERE name = 'records'"
            case .scanFrom: Query.scan(", value", ">=")
            case .scanAfter: Query.scan(", value", ">")
            case .scanKeysFrom: Query.scan("", ">=")
            case .scanKeysAfter: Query.scan("", ">")
            case .put:
                """
                INSERT INTO records (partition, key, \(header), value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                    ON CONFLICT (partition, key) DO UPDATE SET ballot_counter = ?3, ballot_node = ?4, sequence = ?5,
                    expires_at_ms = ?6, checksum = \(SQLiteWriter.replacedFunction)(?7), value = ?8
                """
            case .update:
                """
                UPDATE records SET ballot_counter = ?3, ballot_node = ?4, sequence = ?5, expires_at_ms = ?6, checksum = ?7,
                    value = ?8 WHERE partition = ?1 AND key = ?2
                """
            case .purge: "DELETE FROM records WHERE partition = ?1 AND key = ?2"
            case .wipeRecords: "DELETE FROM records WHERE partition = ?1"
            case .wipeMetadata: "DELETE FROM metadata WHERE partition = ?1"
            case .putMetadata:
                "INSERT OR REPLACE INTO metadata (partition, name, checksum, value) VALUES (?1, ?2, ?3, ?4)"
            case .removeMetadata: "DELETE FROM metadata WHERE partition = ?1 AND name = ?2"
            case .addToCount: "UPDATE counts SET value = value + ?1 WHERE name = 'records'"
            }
        }

        private static func scan(_ value: String, _ comparison: String) -> String {
            """
            SELECT \(header), value IS NULL, key\(value) FROM records
                WHERE partition = ?1 AND key \(comparison) ?2 ORDER BY key
            """
        }
    }

    static func number(_ scope: MetadataScope) -> Int64 {
        switch scope {
        case .node: -1
        case .partition(let partition): Int64(partition.rawValue)
        }
    }

    static func metadataChecksum(_ scope: MetadataScope, _ name: String, _ value: [UInt8]) -> UInt32 {
        var crc = CRC32C()
        crc.update(UInt64(bitPattern: number(scope)))
        crc.update(Array(name.utf8))
        crc.update(value)
        return crc.value
    }
}

extension SQLiteStatement {
    /// The header in columns 0 to 4; `nil` for numbers that no record has.
    func header(isTombstone: Bool) -> RecordHeader? {
        guard let node = UInt32(exactly: integer(1)), let checksum = UInt32(exactly: integer(4)) else { return nil }
        let version = Version(ballot: Ballot(counter: unsigned(0), node: NodeID(node)), sequence: unsigned(2))
        return RecordHeader(
            Record(version: version, value: isTombstone ? nil : [], expiresAt: unsigned(3), checksum: checksum))
    }

    /// The record of `key` whose header is in columns 0 to 4 and whose value is in `column`; `nil` when it fails
    /// verification.
    func verifiedRecord(of key: Key, value column: Int32, isTombstone: Bool) -> Record? {
        header(isTombstone: isTombstone)?.verifiedRecord(of: key, value: borrowedBytes(column))
    }
}
#endif
