#if LMDB
import CLMDB
public import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Records in one LMDB environment: the engine for reads, which come out of the page cache without a system call.
///
/// Files `data.mdb` and `lock.mdb` in the folder, readable with `mdb_dump` and `mdb_stat`. Default sync mode: a batch
/// is one transaction, and `apply` returns after its fsync. The map is sparse and grows by itself. Reads take a read
/// transaction for their own duration only, wait for nothing but a growing map, and copy a value once.
public final class LMDBBackend: StorageBackend {
    /// The entry for the registry: type `lmdb`, option `map_bytes` (the first size of the map, 64 KiB or more;
    /// 1 GiB unless given; never a limit).
    public static let factory = BackendFactory(
        type: "lmdb", summary: "memory-mapped B+tree: the fastest reads", options: ["map_bytes"]
    ) { context throws(StorageError) in
        try LMDBBackend(context)
    }

    /// Constant: atomic batches, reads in microseconds, scans in O(limit).
    public let capabilities = BackendCapabilities(
        atomicBatches: true, durable: true, orderedScan: true)

    private static let smallestMap = 64 << 10
    /// A page of a scan ends after this many bytes of values, so that read transactions stay short.
    private static let pageBytes = 16 << 20

    private let partitions: Int
    private let environment: LMDBEnvironment

    /// Opens the folder, or creates the environment in it.
    /// - Throws: `.inUse`, `.damaged`, `.foreign`, `.readOnly`, `.full`, `.invalid` for an illegal option, `.io`.
    public init(_ context: BackendContext) throws(StorageError) {
        partitions = context.partitions
        guard 1...Slot.count ~= partitions else {
            throw StorageError(.invalid, "\(partitions) partitions; use 1 to \(Slot.count)")
        }
        var mapSize = 1 << 30
        if let option = context.options["map_bytes"] {
            guard let bytes = option.integer, bytes >= LMDBBackend.smallestMap, bytes <= 1 << 46 else {
                throw StorageError(.invalid, "option map_bytes is a whole number from \(LMDBBackend.smallestMap) up")
            }
            mapSize = Int(bytes)
        }
        environment = try LMDBEnvironment(path: context.path, mapSize: mapSize)
    }

    /// See `StorageBackend.read`. O(log n), from the page cache if it is there.
    public func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try environment.read { transaction throws(StorageError) in
            guard let stored = try stored(partition, key, transaction) else { return nil }
            guard let record = LMDBLayout.record(stored, of: key) else { throw damaged(partition) }
            return record
        }
    }

    /// See `StorageBackend.version`. O(log n), reads 38 bytes of the record.
    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        try environment.read { transaction throws(StorageError) in
            guard let stored = try stored(partition, key, transaction) else { return nil }
            guard let header = LMDBLayout.header(stored) else { throw damaged(partition) }
            return header.version
        }
    }

    @inline(__always)
    private func stored(
        _ partition: PartitionID, _ key: Key, _ transaction: OpaquePointer
    ) throws(StorageError) -> MDB_val? {
        guard Int(partition.rawValue) < partitions, key.bytes.count <= Key.maximumLength else { return nil }
        var value = MDB_val()
        let code = LMDBLayout.withKey(partition, key.bytes) { mdb_get(transaction, environment.records, &$0, &value) }
        if code == MDB_SUCCESS { return value }
        if code == MDB_NOTFOUND { return nil }
        throw LMDBError(code: code).storageError("a record can't be read", path: environment.path)
    }

    private func damaged(_ partition: PartitionID) -> StorageError {
        StorageError(
            .damaged, "a record of partition \(partition) fails verification; it has to come from another replica",
            path: environment.path)
    }

    /// See `StorageBackend.scan`. O(log n + limit).
    public func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        guard Int(request.partition.rawValue) < partitions else { return ScanPage(entries: [], isLast: true) }
        return try environment.read { transaction throws(StorageError) in
            do throws(LMDBError) {
                return try page(request, transaction)
            } catch {
                throw error.storageError("a partition can't be scanned", path: environment.path)
            }
        }
    }

    private func page(_ request: ScanRequest, _ transaction: OpaquePointer) throws(LMDBError) -> ScanPage {
        let cursor = try LMDBCursor(transaction, environment.records)
        defer { cursor.close() }
        let start = request.after.map { max($0, Key(unchecked: request.prefix)) } ?? Key(unchecked: request.prefix)
        var found = try LMDBLayout.withKey(request.partition, start.bytes) { key throws(LMDBError) in
            try cursor.seek(notBelow: &key)
        }
        var entries: [ScanPage.Entry] = []
        var bytes = 0
        while let (stored, value) = found, LMDBLayout.isKey(stored, of: request.partition) {
            let key = LMDBLayout.key(stored)
            // A start cut off at the longest key may lie below the first key wanted; an ordinary one is at it.
            guard key.hasPrefix(request.prefix) else { break }
            if let after = request.after, key <= after {
                found = try cursor.next()
                continue
            }
            guard entries.count < max(request.limit, 1), bytes < LMDBBackend.pageBytes else {
                return ScanPage(entries: entries, isLast: false)
            }
            let record =
                request.values
                ? LMDBLayout.record(value, of: key) : LMDBLayout.header(value)?.record(value: [])
            bytes += request.values ? value.mv_size : 0
            entries.append(ScanPage.Entry(key: key, record: record))
            found = try cursor.next()
        }
        return ScanPage(entries: entries, isLast: true)
    }

    /// See `StorageBackend.apply`. One transaction, all or nothing; one fsync and one write of the root.
    public func apply(_ batch: [StorageOperation]) throws(StorageError) {
        try StorageOperation.validate(
            batch, partitions: partitions, maximumValueLength: capabilities.maximumValueLength)
        guard !batch.isEmpty else { return }
        try environment.write { transaction throws(LMDBError) in
            let writer = try LMDBWriter(transaction, records: environment.records, metadata: environment.metadata)
            defer { writer.close() }
            for operation in batch { try writer.apply(operation) }
        }
    }

    /// See `StorageBackend.metadata`. O(log n).
    public func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        let key = LMDBLayout.metadataKey(scope, name)
        return try environment.read { transaction throws(StorageError) in
            var value = MDB_val()
            let code = key.withValue { mdb_get(transaction, environment.metadata, &$0, &value) }
            if code == MDB_NOTFOUND { return nil }
            guard code == MDB_SUCCESS else {
                throw LMDBError(code: code).storageError("metadata \(name) can't be read", path: environment.path)
            }
            guard let bytes = LMDBLayout.metadata(value, key: key) else {
                throw StorageError(
                    .damaged,
                    "metadata \(name) fails verification; restore the folder, or empty it to let the node copy "
                        + "its data from the other replicas", path: environment.path)
            }
            return bytes
        }
    }

    /// See `StorageBackend.statistics`. Exact, O(1).
    public func statistics() throws(StorageError) -> BackendStatistics {
        try environment.statistics()
    }

    /// Waits for reads that run, then closes the environment.
    public func close() throws(StorageError) {
        environment.shut()
    }

    /// Closes and removes `data.mdb` and `lock.mdb`.
    public func destroy() throws(StorageError) {
        try environment.read { _ throws(StorageError) in }
        environment.shut()
        for name in ["data.mdb", "lock.mdb"] where unlink("\(environment.path)/\(name)") != 0 && errno != ENOENT {
            throw LMDBError(code: errno).storageError("\(name) can't be removed", path: environment.path)
        }
    }
}
#endif
