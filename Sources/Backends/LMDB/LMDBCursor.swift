#if LMDB
import CLMDB
import KVProtocols

/// A cursor over one database, to be closed before its transaction ends.
struct LMDBCursor {
    let handle: OpaquePointer

    init(_ transaction: OpaquePointer, _ database: MDB_dbi) throws(LMDBError) {
        var opened: OpaquePointer?
        try LMDBError.check(mdb_cursor_open(transaction, database, &opened))
        guard let opened else { throw LMDBError(code: MDB_BAD_TXN) }
        handle = opened
    }

    func close() { mdb_cursor_close(handle) }

    /// Goes to the first entry whose key is `key` or more.
    func seek(notBelow key: inout MDB_val) throws(LMDBError) -> (key: MDB_val, value: MDB_val)? {
        try get(&key, MDB_SET_RANGE)
    }

    /// Goes to the next entry; after a removal, to the one that followed the removed one.
    func next() throws(LMDBError) -> (key: MDB_val, value: MDB_val)? {
        var key = MDB_val()
        return try get(&key, MDB_NEXT)
    }

    /// Removes the entry that the cursor is at.
    func remove() throws(LMDBError) {
        try LMDBError.check(mdb_cursor_del(handle, 0))
    }

    private func get(
        _ key: inout MDB_val, _ operation: MDB_cursor_op
    ) throws(LMDBError) -> (key: MDB_val, value: MDB_val)? {
        var value = MDB_val()
        let code = mdb_cursor_get(handle, &key, &value, operation)
        if code == MDB_NOTFOUND { return nil }
        try LMDBError.check(code)
        return (key, value)
    }
}
#endif
