public import KVProtocols
import Synchronization

/// The reference: sorted keys and a dictionary per partition, gone with the process. For tests and for trying things
/// out; a replicated node refuses it unless told.
///
/// One lock guards everything. A batch is applied under it as a whole, so a reader sees all of it or nothing.
/// `read` is O(key length); `apply` moves up to 8 bytes per key of the partition for each new or forgotten key.
public final class MemoryBackend: StorageBackend {
    /// The entry for the registry: type `memory`, no options.
    public static let factory = BackendFactory(
        type: "memory", summary: "in memory only, for tests: data is gone when the process ends"
    ) { context throws(StorageError) in
        MemoryBackend(partitions: context.partitions)
    }

    /// Constant: not durable, everything else at its best.
    public let capabilities = BackendCapabilities(
        atomicBatches: true, durable: false, orderedScan: true)

    private let partitions: Int
    private let content: Mutex<Content>

    /// Starts empty with partitions 0 to `partitions` - 1.
    public init(partitions: Int) {
        self.partitions = partitions
        content = Mutex(Content(partitions: [Partition](repeating: Partition(), count: partitions)))
    }

    /// See `StorageBackend.read`. O(key length).
    public func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try withContent { content throws(StorageError) in
            guard let record = content.partition(partition)?.records[key] else { return nil }
            guard record.isIntact(for: key) else {
                throw StorageError(
                    .damaged, "a record of partition \(partition) fails verification; write it again to repair it")
            }
            return record
        }
    }

    /// See `StorageBackend.version`. O(key length).
    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        try withContent { content throws(StorageError) in content.partition(partition)?.records[key]?.version }
    }

    /// See `StorageBackend.scan`. O(log n + limit).
    public func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        try withContent { content throws(StorageError) in
            content.partition(request.partition)?.page(request) ?? ScanPage(entries: [], isLast: true)
        }
    }

    /// See `StorageBackend.apply`. Nothing is durable: "applied" means visible to every thread.
    public func apply(_ batch: [StorageOperation]) throws(StorageError) {
        for operation in batch {
            try operation.validate(partitions: partitions, maximumValueLength: capabilities.maximumValueLength)
        }
        try withContent { content throws(StorageError) in
            for operation in batch { content.apply(operation) }
        }
    }

    /// See `StorageBackend.metadata`. O(1).
    public func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try withContent { content throws(StorageError) in content.metadata[MetadataName(scope: scope, name: name)] }
    }

    /// See `StorageBackend.statistics`. O(partitions); disk figures are 0.
    public func statistics() throws(StorageError) -> BackendStatistics {
        try withContent { content throws(StorageError) in
            let keys = content.partitions.reduce(0) { $0 + $1.keys.count }
            return BackendStatistics(keys: UInt64(keys), bytesOnDisk: 0, bytesFree: 0)
        }
    }

    /// Drops all data.
    public func close() throws(StorageError) {
        content.withLock { $0 = Content(partitions: [], isClosed: true) }
    }

    /// Drops all data, as `close` does.
    public func destroy() throws(StorageError) {
        try withContent { _ throws(StorageError) in }
        try close()
    }

    private func withContent<Result>(
        _ body: (inout Content) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try content.withLock { content throws(StorageError) in
            guard !content.isClosed else { throw StorageError(.closed, "the memory backend is closed") }
            return try body(&content)
        }
    }
}

private struct MetadataName: Hashable {
    var scope: MetadataScope
    var name: String
}

private struct Content {
    var partitions: [Partition]
    var metadata: [MetadataName: [UInt8]] = [:]
    var isClosed = false

    func partition(_ id: PartitionID) -> Partition? {
        Int(id.rawValue) < partitions.count ? partitions[Int(id.rawValue)] : nil
    }

    mutating func apply(_ operation: StorageOperation) {
        switch operation {
        case .put(let partition, let key, let record):
            partitions[Int(partition.rawValue)].put(key, record)
        case .purge(let partition, let key):
            partitions[Int(partition.rawValue)].purge(key)
        case .metadata(let scope, let name, let value):
            metadata[MetadataName(scope: scope, name: name)] = value
        case .wipe(let partition):
            partitions[Int(partition.rawValue)] = Partition()
            metadata = metadata.filter { $0.key.scope != .partition(partition) }
        }
    }
}

private struct Partition {
    /// In ascending order.
    var keys: [Key] = []
    var records: [Key: Record] = [:]

    mutating func put(_ key: Key, _ record: Record) {
        if records.updateValue(record, forKey: key) == nil { keys.insert(key, at: firstIndex(notBelow: key)) }
    }

    mutating func purge(_ key: Key) {
        if records.removeValue(forKey: key) != nil { keys.remove(at: firstIndex(notBelow: key)) }
    }

    func page(_ request: ScanRequest) -> ScanPage {
        var index = firstIndex(notBelow: Key(unchecked: request.prefix))
        if let after = request.after {
            let next = firstIndex(notBelow: after)
            index = max(index, next < keys.count && keys[next] == after ? next + 1 : next)
        }
        var entries: [ScanPage.Entry] = []
        while index < keys.count, keys[index].hasPrefix(request.prefix) {
            guard entries.count < max(request.limit, 1) else { return ScanPage(entries: entries, isLast: false) }
            let key = keys[index]
            entries.append(ScanPage.Entry(key: key, record: record(of: key, withValue: request.values)))
            index += 1
        }
        return ScanPage(entries: entries, isLast: true)
    }

    private func record(of key: Key, withValue: Bool) -> Record? {
        guard var record = records[key] else { return nil }
        if withValue { return record.isIntact(for: key) ? record : nil }
        if !record.isTombstone { record.value = [] }
        return record
    }

    private func firstIndex(notBelow key: Key) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
