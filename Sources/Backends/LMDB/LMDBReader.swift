#if LMDB
import CLMDB
import KVProtocols
import Synchronization

/// A read transaction that is renewed for each use and reset after it: a renewal costs a few stores, while a new
/// transaction takes the environment's reader mutex.
///
/// Whoever holds the locks of all readers knows that no read transaction is active.
final class LMDBReader: Sendable {
    /// `@unchecked Sendable`: `handle`, and the transaction behind it, are used only while the lock of the `Mutex`
    /// around it is held; `MDB_NOTLS` lets any thread do so.
    struct Transaction: @unchecked Sendable {
        /// Reset between uses. `nil` before the first one and after the map was replaced.
        var handle: OpaquePointer?
    }

    let transaction = Mutex(Transaction())
}

extension LMDBReader.Transaction {
    /// The transaction, showing the newest committed state until `reset`.
    mutating func renew(in environment: OpaquePointer) throws(LMDBError) -> OpaquePointer {
        if let handle {
            try LMDBError.check(mdb_txn_renew(handle))
            return handle
        }
        var new: OpaquePointer?
        try LMDBError.check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &new))
        guard let new else { throw LMDBError(code: MDB_BAD_TXN) }
        handle = new
        return new
    }

    /// Gives the transaction's slot of the reader table back.
    mutating func release() {
        if let handle { mdb_txn_abort(handle) }
        handle = nil
    }
}
#endif
