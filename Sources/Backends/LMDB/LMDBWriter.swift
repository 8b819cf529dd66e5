#if LMDB
import CLMDB
import KVProtocols

/// Applies operations in one write transaction.
struct LMDBWriter {
    private let transaction: OpaquePointer
    private let metadata: MDB_dbi
    /// A cursor stays where it is: a put next to the last one doesn't search from the root again.
    private let cursor: LMDBCursor

    init(_ transaction: OpaquePointer, records: MDB_dbi, metadata: MDB_dbi) throws(LMDBError) {
        self.transaction = transaction
        self.metadata = metadata
        cursor = try LMDBCursor(transaction, records)
    }

    func close() { cursor.close() }

    /// Not to be inlined: so its parts are only borrowed, and a put counts no references.
    @inline(never)
    func apply(_ operation: StorageOperation) throws(LMDBError) {
        switch operation {
        case .put(let partition, let key, let record):
            try put(partition, key, record)
        case .purge(let partition, let key):
            try LMDBLayout.withKey(partition, key.bytes) { wanted throws(LMDBError) in
                var search = wanted
                guard let (found, _) = try cursor.seek(notBelow: &search) else { return }
                if found.bytes.elementsEqual(wanted.bytes) { try cursor.remove() }
            }
        case .metadata(let scope, let name, let value):
            try setMetadata(LMDBLayout.metadataKey(scope, name), value)
        case .wipe(let partition):
            try wipe(partition)
        }
    }

    private func put(_ partition: PartitionID, _ key: Key, _ record: Record) throws(LMDBError) {
        // Reserving lets header and value go straight into the page.
        let length = record.value?.count ?? 0
        var space = MDB_val(mv_size: RecordHeader.length + length, mv_data: nil)
        let code = LMDBLayout.withKey(partition, key.bytes) { key in
            mdb_cursor_put(cursor.handle, &key, &space, UInt32(MDB_RESERVE))
        }
        try LMDBError.check(code)
        RecordHeader(record).write(to: UnsafeMutableRawBufferPointer(start: space.mv_data, count: space.mv_size))
        record.value?.withUnsafeBytes { bytes in
            guard let from = bytes.baseAddress else { return }
            space.mv_data?.advanced(by: RecordHeader.length).copyMemory(from: from, byteCount: length)
        }
    }

    private func setMetadata(_ key: [UInt8], _ value: [UInt8]?) throws(LMDBError) {
        let code = key.withValue { key in
            guard let value else { return mdb_del(transaction, metadata, &key, nil) }
            return LMDBLayout.metadataValue(value, key: Array(key.bytes)).withValue {
                mdb_put(transaction, metadata, &key, &$0, 0)
            }
        }
        if value == nil, code == MDB_NOTFOUND { return }
        try LMDBError.check(code)
    }

    private func wipe(_ partition: PartitionID) throws(LMDBError) {
        var found = try LMDBLayout.withKey(partition, []) { key throws(LMDBError) in try cursor.seek(notBelow: &key) }
        while let (key, _) = found, LMDBLayout.isKey(key, of: partition) {
            try cursor.remove()
            found = try cursor.next()
        }
        let names = try LMDBCursor(transaction, metadata)
        defer { names.close() }
        let prefix = LMDBLayout.metadataPrefix(partition)
        found = try prefix.withValue { key throws(LMDBError) in try names.seek(notBelow: &key) }
        while let (key, _) = found, key.bytes.starts(with: prefix) {
            try names.remove()
            found = try names.next()
        }
    }
}
#endif
