#if LMDB
import CLMDB
import KVBackendBench
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// LMDB's calls and nothing else. The map is large from the start, so that it never has to grow.
///
/// `@unchecked Sendable`: the handle is constant, and LMDB's environments may be used by any thread.
final class RawLMDB: BenchTarget, @unchecked Sendable {
    private static let mapBytes = 64 << 30

    private let folder: String
    private let checks: Bool
    private let environment: OpaquePointer
    private let records: MDB_dbi

    init(_ folder: String, checks: Bool) throws(StorageError) {
        self.folder = folder
        self.checks = checks
        var created: OpaquePointer?
        try RawLMDB.check(mdb_env_create(&created), "mdb_env_create", folder)
        guard let created else { throw Baselines.failure("mdb_env_create", "no environment", folder) }
        environment = created
        try RawLMDB.check(mdb_env_set_mapsize(created, RawLMDB.mapBytes), "mdb_env_set_mapsize", folder)
        try RawLMDB.check(mdb_env_set_maxdbs(created, 1), "mdb_env_set_maxdbs", folder)
        try RawLMDB.check(mdb_env_open(created, folder, UInt32(MDB_NOTLS), 0o600), "mdb_env_open", folder)
        var transaction: OpaquePointer?
        var opened: MDB_dbi = 0
        try RawLMDB.check(mdb_txn_begin(created, nil, 0, &transaction), "mdb_txn_begin", folder)
        try RawLMDB.check(mdb_dbi_open(transaction, nil, 0, &opened), "mdb_dbi_open", folder)
        try RawLMDB.check(mdb_txn_commit(transaction), "mdb_txn_commit", folder)
        records = opened
    }

    static func check(_ code: Int32, _ call: String, _ folder: String) throws(StorageError) {
        guard code == MDB_SUCCESS else {
            throw Baselines.failure(call, String(cString: mdb_strerror(code)), folder)
        }
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        var transaction: OpaquePointer?
        var cursor: OpaquePointer?
        try RawLMDB.check(mdb_txn_begin(environment, nil, 0, &transaction), "mdb_txn_begin", folder)
        do throws(StorageError) {
            try RawLMDB.check(mdb_cursor_open(transaction, records, &cursor), "mdb_cursor_open", folder)
            defer { mdb_cursor_close(cursor) }
            for operation in batch {
                switch operation {
                case .put(let partition, let key, let record): try put(partition, key, record, cursor)
                case .purge(let partition, let key):
                    let code = RawLMDB.withKey(partition, key) { mdb_del(transaction, records, &$0, nil) }
                    if code != MDB_NOTFOUND { try RawLMDB.check(code, "mdb_del", folder) }
                default: throw Baselines.unsupported(folder)
                }
            }
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        try RawLMDB.check(mdb_txn_commit(transaction), "mdb_txn_commit", folder)
    }

    private func put(
        _ partition: PartitionID, _ key: Key, _ record: Record, _ cursor: OpaquePointer?
    ) throws(StorageError) {
        let length = record.value?.count ?? 0
        var space = MDB_val(mv_size: RecordHeader.length + length, mv_data: nil)
        let code = RawLMDB.withKey(partition, key) { mdb_cursor_put(cursor, &$0, &space, UInt32(MDB_RESERVE)) }
        try RawLMDB.check(code, "mdb_cursor_put", folder)
        RecordHeader(record).write(to: UnsafeMutableRawBufferPointer(start: space.mv_data, count: space.mv_size))
        record.value?.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            _ = memcpy(space.mv_data + RecordHeader.length, start, length)
        }
    }

    /// The engine's key: the partition big-endian, then the key's bytes.
    @inline(__always)
    static func withKey<Result>(_ partition: PartitionID, _ key: Key, _ body: (inout MDB_val) -> Result) -> Result {
        withUnsafeTemporaryAllocation(byteCount: Key.maximumLength + 2, alignment: 8) { buffer in
            buffer.storeBytes(of: partition.rawValue.bigEndian, as: UInt16.self)
            key.bytes.withUnsafeBytes { bytes in
                if let start = bytes.baseAddress, let target = buffer.baseAddress {
                    _ = memcpy(target + 2, start, bytes.count)
                }
            }
            var value = MDB_val(mv_size: key.bytes.count + 2, mv_data: buffer.baseAddress)
            return body(&value)
        }
    }

    func reader() throws(StorageError) -> any BenchReader {
        try RawLMDBReader(environment, records, checks: checks, folder)
    }

    func prepareScans() throws(StorageError) {}
    func close() throws(StorageError) { mdb_env_close(environment) }
}

/// One thread's transaction, renewed for each read.
private final class RawLMDBReader: BenchReader {
    private let transaction: OpaquePointer
    private let records: MDB_dbi
    private let checks: Bool
    private let folder: String
    private var buffer = ValueBuffer()

    init(_ environment: OpaquePointer, _ records: MDB_dbi, checks: Bool, _ folder: String) throws(StorageError) {
        var begun: OpaquePointer?
        try RawLMDB.check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &begun), "mdb_txn_begin", folder)
        guard let begun else { throw Baselines.failure("mdb_txn_begin", "no transaction", folder) }
        mdb_txn_reset(begun)
        transaction = begun
        self.records = records
        self.checks = checks
        self.folder = folder
    }

    deinit { mdb_txn_abort(transaction) }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Int? {
        if checks { return try record(partition, key)?.value?.count }
        try RawLMDB.check(mdb_txn_renew(transaction), "mdb_txn_renew", folder)
        defer { mdb_txn_reset(transaction) }
        guard let stored = try find(partition, key) else { return nil }
        return buffer.take(UnsafeRawBufferPointer(rebasing: stored[RecordHeader.length...]))
    }

    func record(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try RawLMDB.check(mdb_txn_renew(transaction), "mdb_txn_renew", folder)
        defer { mdb_txn_reset(transaction) }
        guard let stored = try find(partition, key) else { return nil }
        return try checked(stored, of: key)
    }

    private func find(_ partition: PartitionID, _ key: Key) throws(StorageError) -> UnsafeRawBufferPointer? {
        var value = MDB_val()
        let code = RawLMDB.withKey(partition, key) { mdb_get(transaction, records, &$0, &value) }
        if code == MDB_NOTFOUND { return nil }
        try RawLMDB.check(code, "mdb_get", folder)
        return UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)
    }

    private func checked(_ stored: UnsafeRawBufferPointer, of key: Key) throws(StorageError) -> Record {
        let value = UnsafeRawBufferPointer(rebasing: stored[RecordHeader.length...])
        guard let record = RecordHeader(stored)?.verifiedRecord(of: key, value: value) else {
            throw StorageError(.damaged, "a baseline read a damaged record", path: folder)
        }
        return record
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> Int {
        try RawLMDB.check(mdb_txn_renew(transaction), "mdb_txn_renew", folder)
        defer { mdb_txn_reset(transaction) }
        var opened: OpaquePointer?
        try RawLMDB.check(mdb_cursor_open(transaction, records, &opened), "mdb_cursor_open", folder)
        defer { mdb_cursor_close(opened) }
        let start = request.after ?? Key(unchecked: [])
        var value = MDB_val()
        var found = MDB_val()
        var code = RawLMDB.withKey(request.partition, start) { key in
            let code = mdb_cursor_get(opened, &key, &value, MDB_SET_RANGE)
            found = key
            return code
        }
        var count = 0
        var entries: [ScanPage.Entry] = []
        while code == MDB_SUCCESS, count < request.limit {
            let bytes = UnsafeRawBufferPointer(start: found.mv_data, count: found.mv_size)
            guard bytes.loadUnaligned(as: UInt16.self) == request.partition.rawValue.bigEndian else { break }
            if count > 0 || !bytes.dropFirst(2).elementsEqual(start.bytes) {
                count += 1
                let stored = UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)
                if checks {
                    let key = Key(unchecked: Array(UnsafeRawBufferPointer(rebasing: bytes[2...])))
                    entries.append(ScanPage.Entry(key: key, record: try checked(stored, of: key)))
                } else {
                    _ = buffer.take(UnsafeRawBufferPointer(rebasing: stored[RecordHeader.length...]))
                }
            }
            code = mdb_cursor_get(opened, &found, &value, MDB_NEXT)
        }
        if code != MDB_NOTFOUND { try RawLMDB.check(code, "mdb_cursor_get", folder) }
        return checks ? entries.count : count
    }
}
#endif
