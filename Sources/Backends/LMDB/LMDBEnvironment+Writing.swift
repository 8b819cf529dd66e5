#if LMDB
import CLMDB
import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension LMDBEnvironment {
    /// Runs `body` in a write transaction and commits it; when the map is full, grows the map and runs `body` again.
    /// - Throws: `.full` when the disk is full, `.poisoned` after a failed commit, else what LMDB said to `body`.
    func write(_ body: (OpaquePointer) throws(LMDBError) -> Void) throws(StorageError) {
        try writer.withLock { _ throws(StorageError) in
            while try !attempt(body, in: usableHandle()) { try grow() }
        }
    }

    /// - Returns: whether it was committed; `false` when the map is full.
    private func attempt(
        _ body: (OpaquePointer) throws(LMDBError) -> Void, in environment: OpaquePointer
    ) throws(StorageError) -> Bool {
        var begun: OpaquePointer?
        do throws(LMDBError) {
            try LMDBError.check(mdb_txn_begin(environment, nil, 0, &begun))
            guard let begun else { throw LMDBError(code: MDB_BAD_TXN) }
            try body(begun)
        } catch {
            if let begun { mdb_txn_abort(begun) }
            if error.isMapFull { return false }
            if error.code == MDB_PANIC { isPoisoned.store(true, ordering: .relaxed) }
            throw error.storageError("the batch can't be written", path: path)
        }
        do throws(LMDBError) {
            try commit(begun)
        } catch {
            if error.isMapFull { return false }
            // Pages of a transaction never replace pages in use, so one that ran out of space before its root was
            // written left nothing behind. Had writing the root failed, LMDB would refuse the next transaction.
            if isDiskFull(error, environment), canBegin(environment) {
                throw LMDBError(code: ENOSPC).storageError("the batch can't be committed", path: path)
            }
            throw poison("the commit failed", error)
        }
        do throws(LMDBError) {
            try coverFile(of: environment)
        } catch {
            throw poison("the file can't be extended", error)
        }
        return true
    }

    /// Tells readers of it; see `begin`.
    private func commit(_ transaction: OpaquePointer?) throws(LMDBError) {
        begunCommits.add(1, ordering: .sequentiallyConsistent)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        defer { endedCommits.add(1, ordering: .releasing) }
        try LMDBError.check(mdb_txn_commit(transaction))
    }

    /// LMDB reports a write that the disk took only a part of as EIO; then hardly any space is left.
    private func isDiskFull(_ error: LMDBError, _ environment: OpaquePointer) -> Bool {
        if error.isDiskFull { return true }
        var file: mdb_filehandle_t = -1
        var disk = statvfs()
        guard error.code == EIO, mdb_env_get_fd(environment, &file) == MDB_SUCCESS, fstatvfs(file, &disk) == 0 else {
            return false
        }
        return UInt64(disk.f_bavail) * UInt64(disk.f_frsize) < LMDBEnvironment.hardlyAnySpace
    }

    private func canBegin(_ environment: OpaquePointer) -> Bool {
        var transaction: OpaquePointer?
        guard mdb_txn_begin(environment, nil, 0, &transaction) == MDB_SUCCESS else { return false }
        mdb_txn_abort(transaction)
        return true
    }

    private func poison(_ what: String, _ error: LMDBError) -> StorageError {
        isPoisoned.store(true, ordering: .relaxed)
        return StorageError(
            .poisoned, "\(what): whether the batch is on the disk is unknown; check the disk, then restart the node",
            cause: String(cString: mdb_strerror(error.code)), path: path)
    }

    /// Makes the file as long as its highest page, which LMDB skips when a transaction allocated and freed it. From
    /// then on a shorter file is one that was cut off, which `init` refuses: reading past its end would be a SIGBUS.
    private func coverFile(of environment: OpaquePointer) throws(LMDBError) {
        let end = try LMDBEnvironment.neededBytes(environment)
        // While it is open nobody makes the file shorter, so what it once covered needs no second look.
        guard end > coveredBytes else { return }
        if try LMDBEnvironment.missingBytes(environment) > 0 {
            var file: mdb_filehandle_t = -1
            try LMDBError.check(mdb_env_get_fd(environment, &file))
            guard ftruncate(file, off_t(end)) == 0, fsync(file) == 0 else { throw LMDBError(code: errno) }
        }
        coveredBytes = end
    }

    /// How many bytes the file lacks of the pages that its root counts.
    static func missingBytes(_ environment: OpaquePointer) throws(LMDBError) -> Int {
        var file: mdb_filehandle_t = -1
        try LMDBError.check(mdb_env_get_fd(environment, &file))
        var status = stat()
        guard fstat(file, &status) == 0 else { throw LMDBError(code: errno) }
        return try max(0, neededBytes(environment) - Int(status.st_size))
    }

    private static func neededBytes(_ environment: OpaquePointer) throws(LMDBError) -> Int {
        var information = MDB_envinfo()
        var pages = MDB_stat()
        try LMDBError.check(mdb_env_info(environment, &information))
        try LMDBError.check(mdb_env_stat(environment, &pages))
        return (information.me_last_pgno + 1) * Int(pages.ms_psize)
    }

    // MARK: Exclusive states

    /// Replaces the map by a larger one, when no transaction of this process is active.
    private func grow() throws(StorageError) {
        let environment = try usableHandle()
        try withoutReaders { () throws(StorageError) in
            do throws(LMDBError) {
                var information = MDB_envinfo()
                try LMDBError.check(mdb_env_info(environment, &information))
                let size = information.me_mapsize + min(information.me_mapsize, LMDBEnvironment.largestMapStep)
                let code = mdb_env_set_mapsize(environment, size)
                // A failed replacement leaves no map at all: the old size may still fit the address space.
                if code != MDB_SUCCESS {
                    isBroken = mdb_env_set_mapsize(environment, information.me_mapsize) != MDB_SUCCESS
                }
                try LMDBError.check(code)
            } catch {
                throw error.storageError("the memory map can't grow", path: path)
            }
        }
    }

    /// Ends everything; waits for readers and the writer. Harmless when repeated.
    func shut() {
        writer.withLock { _ in
            withoutReaders {
                guard let handle else { return }
                mdb_env_close(handle)
                self.handle = nil
                folder.release()
            }
        }
    }

    /// Runs `body` while holding every reader's lock, with no read transaction left.
    private func withoutReaders<Failure: Error>(
        from index: Int = 0, _ body: () throws(Failure) -> Void
    ) throws(Failure) {
        guard index < readers.count else { return try body() }
        try readers[index].transaction.withLock { transaction throws(Failure) in
            transaction.release()
            try withoutReaders(from: index + 1, body)
        }
    }
}
#endif
