internal import KVProtocols

/// One generation on its way into the backend.
///
/// The order within: wipes; then per partition its puts and purges sorted by key, its state, its digest; then the node's
/// metadata; last the checkpoint. Whatever part a crash leaves without the new checkpoint, the journal still holds
/// everything above the old one, and replaying all of it in order ends in the same content.
struct FlushJob: Sendable {
    let generation: OverlayGeneration
    /// Of the touched partitions, as of `checkpoint.position`; `nil`: to be computed when it is needed.
    let digests: [Int: PartitionDigest?]
    let checkpoint: StorageCheckpoint
    let limits: Limits

    /// How much one `apply` gets at most.
    struct Limits: Sendable {
        var operations = 20_000
        var bytes = 16 << 20
    }

    /// Applies everything; may be repeated after any error, as every operation states an end result.
    /// - Throws: what `apply` throws.
    func run(_ backend: any StorageBackend) throws(StorageError) {
        var batch = Batch(backend: backend, limits: limits)
        let partitions = generation.touched.sorted()
        for partition in partitions where generation.partitions[partition].isWiped {
            try batch.add(.wipe(PartitionID(UInt16(partition))), bytes: 0)
        }
        for partition in partitions {
            try add(partition, to: &batch)
        }
        for (name, bytes) in generation.node.sorted(by: { $0.key < $1.key }) {
            try batch.add(.metadata(.node, name, bytes), bytes: bytes?.count ?? 0)
        }
        // The checkpoint says that all of this is there. Where a crash may tear a batch it is not left to the order of what
        // survives: a file system keeps the order of two new names only within one folder, and not each within that.
        if !backend.capabilities.atomicBatches { try batch.apply() }
        try batch.add(.metadata(.node, StorageCheckpoint.name, checkpoint.bytes), bytes: 0)
        try batch.apply()
    }

    private func add(_ partition: Int, to batch: inout Batch) throws(StorageError) {
        let id = PartitionID(UInt16(partition))
        let changes = generation.partitions[partition]
        for (index, (key, entry)) in changes.sorted().enumerated() {
            let length = key.key.bytes.count + entry.bytes
            if index > 0, batch.isFull(with: length) {
                // The batch ends amid the partition: until the flush is complete its digest doesn't match.
                batch.append(
                    .metadata(.partition(id), StorageCheckpoint.digestName, DigestCodec.encode(nil)), bytes: 0)
            }
            switch entry {
            case .record(let record): try batch.add(.put(id, key.key, record), bytes: length)
            case .purged: try batch.add(.purge(id, key.key), bytes: length)
            }
        }
        if let state = generation.states[partition] {
            batch.append(
                .metadata(.partition(id), StorageCheckpoint.stateName, PartitionStateCodec.encode(state)), bytes: 0)
        }
        if let digest = digests[partition] {
            batch.append(
                .metadata(.partition(id), StorageCheckpoint.digestName, DigestCodec.encode(digest)), bytes: 0)
        }
    }
}

/// Operations that gather until one `apply` has enough.
private struct Batch {
    private let backend: any StorageBackend
    private let limits: FlushJob.Limits
    private var operations: [StorageOperation] = []
    private var bytes = 0

    init(backend: any StorageBackend, limits: FlushJob.Limits) {
        self.backend = backend
        self.limits = limits
    }

    func isFull(with length: Int) -> Bool {
        operations.count >= limits.operations || (bytes > 0 && bytes + length > limits.bytes)
    }

    /// Applies what is there first when it is enough.
    mutating func add(_ operation: StorageOperation, bytes length: Int) throws(StorageError) {
        if isFull(with: length) { try apply() }
        append(operation, bytes: length)
    }

    /// Joins what is there, even if that is enough already: what belongs together stays together.
    mutating func append(_ operation: StorageOperation, bytes length: Int) {
        operations.append(operation)
        bytes += length
    }

    mutating func apply() throws(StorageError) {
        guard !operations.isEmpty else { return }
        try backend.apply(operations)
        operations.removeAll(keepingCapacity: true)
        bytes = 0
    }
}
