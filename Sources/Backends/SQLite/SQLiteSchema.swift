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
            // FULL syncs the log at every commit. Checkpoints are run by `SQLiteWriter`, which looks at their errors.
            try connection.execute(
                """
                PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
                PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1; PRAGMA cache_size = -16384;
                PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = 0;
                """)
            if try connection.integer("SELECT COUNT(*) FROM sqlite_schema") == 0 {
                try connection.execute("BEGIN IMMEDIATE; \(tables) COMMIT;")
            }
            // Its index may have been opened for reading only, which nothing but a write tells.
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

    static let read = "SELECT \(header), value FROM records WHERE partition = ?1 AND key = ?2"
    static let readVersion = "SELECT \(header) FROM records WHERE partition = ?1 AND key = ?2"
    static let metadata = "SELECT checksum, value FROM metadata WHERE partition = ?1 AND name = ?2"
    static let update = """
        UPDATE records SET ballot_counter = ?3, ballot_node = ?4, sequence = ?5, expires_at_ms = ?6, checksum = ?7,
            value = ?8 WHERE partition = ?1 AND key = ?2
        """
    static let insert = """
        INSERT INTO records (partition, key, \(header), value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        """
    static let purge = "DELETE FROM records WHERE partition = ?1 AND key = ?2"
    static let wipeRecords = "DELETE FROM records WHERE partition = ?1"
    static let wipeMetadata = "DELETE FROM metadata WHERE partition = ?1"
    static let putMetadata =
        "INSERT OR REPLACE INTO metadata (partition, name, checksum, value) VALUES (?1, ?2, ?3, ?4)"
    static let removeMetadata = "DELETE FROM metadata WHERE partition = ?1 AND name = ?2"
    static let count = "SELECT value FROM counts WHERE name = 'records'"
    static let addToCount = "UPDATE counts SET value = value + ?1 WHERE name = 'records'"

    /// Columns 0 to 4 are the header, 5 tells a tombstone, 6 is the key, 7 the value if wanted.
    static func scan(values: Bool, inclusive: Bool) -> String {
        """
        SELECT \(header), value IS NULL, key\(values ? ", value" : "") FROM records
            WHERE partition = ?1 AND key \(inclusive ? ">=" : ">") ?2 ORDER BY key
        """
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
    /// The record whose header is in columns 0 to 4, not verified; `nil` for numbers that no record has.
    func record(value: [UInt8]?) -> Record? {
        guard let node = UInt32(exactly: integer(1)), let checksum = UInt32(exactly: integer(4)) else { return nil }
        let version = Version(ballot: Ballot(counter: unsigned(0), node: NodeID(node)), sequence: unsigned(2))
        return Record(version: version, value: value, expiresAt: unsigned(3), checksum: checksum)
    }
}
#endif
