#if LMDB
import CLMDB
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension LMDBEnvironment {
    /// O(1): all figures are kept by LMDB and by the file system.
    func statistics() throws(StorageError) -> BackendStatistics {
        try read { transaction throws(StorageError) in
            do throws(LMDBError) {
                return try statistics(transaction)
            } catch {
                throw error.storageError("statistics can't be read", path: path)
            }
        }
    }

    private func statistics(_ transaction: OpaquePointer) throws(LMDBError) -> BackendStatistics {
        var tree = MDB_stat()
        var information = MDB_envinfo()
        var file: mdb_filehandle_t = -1
        try LMDBError.check(mdb_stat(transaction, records, &tree))
        try LMDBError.check(mdb_env_info(mdb_txn_env(transaction), &information))
        try LMDBError.check(mdb_env_get_fd(mdb_txn_env(transaction), &file))
        var status = stat()
        var disk = statvfs()
        guard fstat(file, &status) == 0, fstatvfs(file, &disk) == 0 else { throw LMDBError(code: errno) }
        return BackendStatistics(
            // One entry of the unnamed database is the root of the metadata.
            keys: UInt64(max(0, tree.ms_entries - 1)),
            bytesOnDisk: UInt64(status.st_blocks) * 512,
            bytesFree: UInt64(disk.f_bavail) * UInt64(disk.f_frsize),
            details: [
                ("map_bytes", UInt64(information.me_mapsize)),
                ("pages", UInt64(information.me_last_pgno) + 1),
                ("tree_depth", UInt64(tree.ms_depth)),
                ("transactions", UInt64(information.me_last_txnid)),
            ])
    }
}
#endif
