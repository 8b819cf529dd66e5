#if LMDB
import CLMDB
import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An open environment: read transactions from a small pool, one write transaction at a time, a map that grows.
///
/// `@unchecked Sendable`: once `init` has returned, `handle` and `isBroken` change only while `writer` and the locks of
/// all `readers` are held, and are read while `writer` or the lock of one reader is; `coveredBytes` belongs to `writer`; the
/// rest is constant or atomic.
final class LMDBEnvironment: @unchecked Sendable {
    /// More threads than this at once wait for one another.
    private static let readerCount = 16
    /// The map doubles up to this size and grows in steps of it from there.
    static let largestMapStep = 64 << 30

    /// Below this many free bytes a partial write is put down to a full disk.
    static let hardlyAnySpace: UInt64 = 1 << 20

    let path: String
    /// Records: the unnamed database.
    let records: MDB_dbi
    /// Metadata: a named database, of which the unnamed one holds the root under its name.
    let metadata: MDB_dbi

    /// `nil` once closed.
    var handle: OpaquePointer?
    /// The map could not be replaced: there is nothing to read from.
    var isBroken = false
    /// The file is known to be at least so long. Used while `writer` is held.
    var coveredBytes = 0
    let isPoisoned = Atomic<Bool>(false)
    /// Commits that were begun, and those of them that are over, for `begin`.
    let begunCommits = Atomic<UInt64>(0)
    let endedCommits = Atomic<UInt64>(0)
    let writer = Mutex<Void>(())
    let readers: [LMDBReader] = (0..<readerCount).map { _ in LMDBReader() }
    let folder: LMDBFolder

    /// Opens or creates the environment in `path`.
    /// - Throws: `.inUse` when this process has it open already, `.damaged` when the file was cut off.
    init(path: String, mapSize: Int) throws(StorageError) {
        self.path = path
        folder = try LMDBFolder(claiming: path)
        do throws(LMDBError) {
            (handle, records, metadata) = try LMDBEnvironment.open(path, mapSize: mapSize)
        } catch {
            folder.release()
            throw error.storageError("the LMDB environment can't be opened", path: path)
        }
    }

    deinit { shut() }

    private static func open(
        _ path: String, mapSize: Int
    ) throws(LMDBError) -> (handle: OpaquePointer, records: MDB_dbi, metadata: MDB_dbi) {
        try createIfMissing(path, mapSize: mapSize)
        var created: OpaquePointer?
        try LMDBError.check(mdb_env_create(&created))
        guard let handle = created else { throw LMDBError(code: ENOMEM) }
        do throws(LMDBError) {
            try LMDBError.check(mdb_env_set_mapsize(handle, mapSize))
            try LMDBError.check(mdb_env_set_maxdbs(handle, 1))
            // Default sync mode: no MDB_NOSYNC, MDB_NOMETASYNC or MDB_WRITEMAP. MDB_NOTLS ties a read transaction to
            // its object instead of to a thread, so that a pool can hold it.
            try LMDBError.check(mdb_env_open(handle, path, UInt32(MDB_NOTLS), 0o600))
            try LMDBFolder.sync(path)
            // A process that was killed amid a commit may leave a root that is seen and on no disk yet.
            try LMDBError.check(mdb_env_sync(handle, 1))
            // Before anything but the two meta pages is looked at.
            guard try missingBytes(handle) == 0 else { throw LMDBError.cutOff }
            // Slots of readers that died keep old pages from being reused, and the file growing.
            try LMDBError.check(mdb_reader_check(handle, nil))
            var transaction: OpaquePointer?
            try LMDBError.check(mdb_txn_begin(handle, nil, 0, &transaction))
            var records: MDB_dbi = 0
            var metadata: MDB_dbi = 0
            do throws(LMDBError) {
                try LMDBError.check(mdb_dbi_open(transaction, nil, 0, &records))
                try LMDBError.check(mdb_dbi_open(transaction, "metadata", UInt32(MDB_CREATE), &metadata))
            } catch {
                mdb_txn_abort(transaction)
                throw error
            }
            try LMDBError.check(mdb_txn_commit(transaction))
            return (handle, records, metadata)
        } catch {
            mdb_env_close(handle)
            throw error
        }
    }

    // MARK: Reading

    /// Runs `body` in a read transaction that shows the newest committed state.
    @inline(__always)
    func read<Result: Sendable>(
        _ body: (OpaquePointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        // Threads start their search at different readers, so that each usually finds its own one free.
        let first = LMDBEnvironment.threadNumber % LMDBEnvironment.readerCount
        for offset in 0..<LMDBEnvironment.readerCount {
            let reader = readers[(first + offset) % LMDBEnvironment.readerCount]
            let result = try reader.transaction.withLockIfAvailable { transaction throws(StorageError) in
                try read(with: &transaction, body)
            }
            if let result { return result }
        }
        return try readers[first].transaction.withLock { transaction throws(StorageError) in
            try read(with: &transaction, body)
        }
    }

    @inline(__always)
    private func read<Result: Sendable>(
        with transaction: inout LMDBReader.Transaction, _ body: (OpaquePointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let environment = try usableHandle()
        let active: OpaquePointer
        do throws(LMDBError) {
            active = try begin(&transaction, in: environment)
        } catch {
            transaction.release()
            throw error.storageError("a read transaction can't begin", path: path)
        }
        defer { mdb_txn_reset(active) }
        return try body(active)
    }

    /// Begins to read the newest committed state.
    ///
    /// LMDB takes the number of the newest commit and then copies its root, which lies in one of two places in turn. A thread
    /// that is held up in between for more than a commit may copy the root of one that is still under way, whole or in part:
    /// it would see what the next read does not, or what never was. So the transaction counts only if no second commit began
    /// meanwhile. One that is under way all the time is none: it writes the other root.
    @inline(__always)
    private func begin(
        _ transaction: inout LMDBReader.Transaction, in environment: OpaquePointer
    ) throws(LMDBError) -> OpaquePointer {
        while true {
            let ended = endedCommits.load(ordering: .acquiring)
            let active = try transaction.renew(in: environment)
            atomicMemoryFence(ordering: .acquiring)
            if begunCommits.load(ordering: .relaxed) <= ended + 1 { return active }
            mdb_txn_reset(active)
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

    func usableHandle() throws(StorageError) -> OpaquePointer {
        guard let handle else { throw StorageError(.closed, "the lmdb backend is closed", path: path) }
        guard !isPoisoned.load(ordering: .relaxed), !isBroken else {
            throw StorageError(.poisoned, "an earlier commit failed; restart the node to open it anew", path: path)
        }
        return handle
    }
}
#endif
