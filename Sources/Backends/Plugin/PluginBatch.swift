import CPlugin
import KVProtocols

/// A batch in the engine's form. Keys and values are copied into one piece of memory, where a record's header stands in
/// front of its value, and which lives as long as this does.
struct PluginBatch: ~Copyable {
    private(set) var operations: [kv_operation] = []
    private let memory: UnsafeMutableRawBufferPointer
    private var used = 0

    /// O(bytes of the batch).
    init(_ batch: [StorageOperation]) {
        let size = batch.reduce(0) { $0 + PluginBatch.size($1) }
        memory = .allocate(byteCount: max(size, 1), alignment: 16)
        operations.reserveCapacity(batch.count)
        for operation in batch { append(operation) }
    }

    deinit { memory.deallocate() }

    private static func size(_ operation: StorageOperation) -> Int {
        switch operation {
        case .put(_, let key, let record): key.bytes.count + RecordHeader.length + (record.value?.count ?? 0)
        case .purge(_, let key): key.bytes.count
        case .metadata(_, let name, let value): name.utf8.count + PluginRecord.checksumLength + (value?.count ?? 0)
        case .wipe: 0
        }
    }

    private mutating func append(_ operation: StorageOperation) {
        var result = kv_operation()
        switch operation {
        case .put(let partition, let key, let record):
            result.kind = UInt32(KV_PUT)
            result.space = UInt32(KV_RECORDS)
            result.partition = UInt32(partition.rawValue)
            result.key = copy(key.bytes)
            result.value = copy(RecordHeader(record).bytes)
            if let value = record.value { result.value.count += copy(value).count }
        case .purge(let partition, let key):
            result.kind = UInt32(KV_DELETE)
            result.space = UInt32(KV_RECORDS)
            result.partition = UInt32(partition.rawValue)
            result.key = copy(key.bytes)
        case .metadata(let scope, let name, let value):
            result.kind = UInt32(value == nil ? KV_DELETE : KV_PUT)
            result.space = UInt32(KV_METADATA)
            result.partition = scope.partitionNumber
            result.key = copy(Array(name.utf8))
            if let value { result.value = copy(PluginRecord.metadata(value, scope, name)) }
        case .wipe(let partition):
            result.kind = UInt32(KV_WIPE)
            result.partition = UInt32(partition.rawValue)
        }
        operations.append(result)
    }

    /// Appends the bytes to the memory, right behind those before.
    private mutating func copy(_ bytes: [UInt8]) -> kv_span {
        let target = UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + bytes.count])
        target.copyBytes(from: bytes)
        used += bytes.count
        return kv_span(UnsafeRawBufferPointer(target))
    }
}
