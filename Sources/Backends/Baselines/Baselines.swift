package import KVBackendBench
import KVProtocols

/// The libraries below the engines, called directly: what an engine costs at least.
///
/// Each does the same durable work as its engine on the same keys and record bytes, in the engine's layout. It has no more locks than its library's rules demand, and answers no statistics. A plain one takes what the library gives it and
/// copies the value into a buffer that the thread keeps; a *checked* one also does what the contract demands of any
/// engine for a read: gives out a record of its own, after comparing its checksum.
package enum Baselines {
    /// The baselines of an engine: the plain one, then the checked one; empty when there are none.
    package static func of(engine type: String) -> [BenchContender] {
        switch type {
        case "file":
            pair(
                type, "openat, write, fsetxattr, fsync (from 32 files on one syncfs), renameat, fsync of the folder",
                "openat, fgetxattr, read, close; scans are given the sorted names"
            ) {
                folder, checks throws(StorageError) in try RawFiles(folder, checks: checks)
            }
        #if SQLite
        case "sqlite":
            pair(
                type, "BEGIN IMMEDIATE, a prepared INSERT OR REPLACE each, COMMIT; WAL, synchronous=FULL",
                "a prepared SELECT on a connection of each thread"
            ) {
                folder, checks throws(StorageError) in try RawSQLite(folder, checks: checks)
            }
        #endif
        #if LMDB
        case "lmdb":
            pair(
                type, "mdb_txn_begin, mdb_cursor_put with MDB_RESERVE each, mdb_txn_commit; default sync mode",
                "mdb_txn_renew, mdb_get, mdb_txn_reset on a transaction of each thread"
            ) {
                folder, checks throws(StorageError) in try RawLMDB(folder, checks: checks)
            }
        #endif
        default: []
        }
    }

    private static func pair(
        _ type: String, _ writing: String, _ reading: String,
        _ open: @escaping @Sendable (String, Bool) throws(StorageError) -> any BenchTarget
    ) -> [BenchContender] {
        [
            BenchContender(
                name: "raw-\(type)", baseline: nil,
                summary: "write: \(writing). Read: \(reading); copies the value, verifies nothing"
            ) { folder throws(StorageError) in try open(folder, false) },
            BenchContender(
                name: "checked-\(type)", baseline: "raw-\(type)",
                summary: "the same calls as raw-\(type); a read makes a record of its own and verifies its checksum"
            ) { folder throws(StorageError) in try open(folder, true) },
        ]
    }

    /// What a failed call means here: a comparison ends with it.
    static func failure(_ what: String, _ cause: String, _ path: String) -> StorageError {
        StorageError(.io, "a baseline's \(what) failed", cause: cause, path: path)
    }

    static func unsupported(_ path: String) -> StorageError {
        StorageError(.unsupported, "baselines store and forget keys, nothing else", path: path)
    }
}

/// Where a thread of a plain baseline puts the values that it reads.
struct ValueBuffer {
    private var bytes: [UInt8] = []

    /// Copies the value into the buffer, which grows as it must.
    /// - Returns: its length.
    mutating func take(_ value: UnsafeRawBufferPointer) -> Int {
        if bytes.count < value.count { bytes = [UInt8](repeating: 0, count: value.count) }
        bytes.withUnsafeMutableBytes { $0.copyMemory(from: value) }
        return value.count
    }
}
