internal import KVProtocols

/// Brings a storage back to where it was: the backend's metadata, then every entry of the journal that the backend lacks,
/// in order.
///
/// Replaying a suffix of the journal that covers everything above the checkpoint ends in the right content from any
/// state that a crash amid a flush leaves, and however often it is done: each entry states an end result, and each key
/// that the crash may have touched has its last entry in that suffix. Digests follow from the versions found on the way;
/// where the stored digest may not match the stored content they are computed anew.
struct StorageOpening {
    let view: StorageView
    private let folder: UInt64
    private let partitions: Int
    /// `nil` for a backend that keeps nothing.
    private(set) var applied: UInt64?
    private var stale: Set<Int> = []

    init(
        backend: any StorageBackend, partitions: Int, seed: UInt64, folder: UInt64
    ) throws(StorageError) {
        precondition(partitions > 0 && partitions <= Slot.count, "1 to \(Slot.count) partitions")
        view = StorageView(backend: backend, partitions: partitions, seed: seed)
        self.folder = folder
        self.partitions = partitions
        let checkpoint = try StorageOpening.checkpoint(of: backend)
        if let checkpoint {
            guard checkpoint.folder == folder else {
                throw StorageError(.foreign, "the backend's content comes from another data folder")
            }
            guard checkpoint.partitions == partitions else {
                throw StorageError(
                    .foreign,
                    "the data was written with \(checkpoint.partitions) partitions, the cluster has "
                        + "\(partitions); use the number with which the cluster was created")
            }
        }
        applied = backend.capabilities.durable ? checkpoint?.position ?? 0 : nil
        for partition in 0..<partitions { try loadMetadata(partition) }
        if checkpoint?.seed != seed { stale.formUnion(0..<partitions) }
    }

    mutating func replay(_ files: JournalFolder, segmentBytes: Int) throws(StorageError) -> JournalRecovery {
        var touched: Set<Int> = []
        let isDurable = applied != nil
        let recovered = try JournalRecovery(
            files: files, folder: folder, segmentBytes: segmentBytes, applied: self.applied
        ) { _, entry throws(StorageError) in
            // A backend that keeps nothing starts empty: the end of its journal alone would be a content of no time.
            if isDurable, let partition = try apply(entry) { touched.insert(partition) }
        }
        // Without atomic batches the last one may be there in part, and the digests before or after it.
        if !view.backend.capabilities.atomicBatches { stale.formUnion(touched) }
        for partition in stale.sorted() {
            try view.recomputeDigest(of: PartitionID(UInt16(partition)))
            view.active.touch(partition)
        }
        return recovered
    }

    /// `nil` when the engine was never flushed to.
    static func checkpoint(of backend: any StorageBackend) throws(StorageError) -> StorageCheckpoint? {
        guard let bytes = try backend.metadata(.node, StorageCheckpoint.name) else { return nil }
        guard let checkpoint = bytes.withUnsafeBytes({ StorageCheckpoint($0) }) else {
            throw StorageError(.damaged, "the checkpoint in the backend's metadata can't be read")
        }
        return checkpoint
    }

    private mutating func loadMetadata(_ partition: Int) throws(StorageError) {
        let scope = MetadataScope.partition(PartitionID(UInt16(partition)))
        if let bytes = try view.backend.metadata(scope, StorageCheckpoint.stateName) {
            // A promise must never be forgotten, so there is no going on without.
            guard let state = bytes.withUnsafeBytes({ PartitionStateCodec.decode($0) }) else {
                throw StorageError(.damaged, "the state of partition \(partition) can't be read")
            }
            view.states[partition] = state
        }
        do {
            guard let bytes = try view.backend.metadata(scope, StorageCheckpoint.digestName) else { return }
            if let digest = bytes.withUnsafeBytes({ DigestCodec.decode($0) }) ?? nil {
                view.digests[partition] = digest
            } else {
                stale.insert(partition)
            }
        } catch  where error.code == .damaged {
            // It follows from the records.
            stale.insert(partition)
        }
    }

    /// Returns the partition whose records changed.
    private mutating func apply(_ entry: JournalEntry) throws(StorageError) -> Int? {
        if let partition = entry.partition, Int(partition.rawValue) >= partitions {
            throw Journal.damaged("an entry names partition \(partition) of \(partitions)")
        }
        switch entry {
        case .put(let partition, let key, let record):
            view.put(partition, key, record, replacing: try currentVersion(partition, key))
        case .purge(let partition, let key):
            view.purge(partition, key, replacing: try currentVersion(partition, key))
        case .wipe(let partition):
            view.wipe(partition)
        case .state(let partition, let state):
            view.save(partition, state)
            return nil
        case .node(let name, let bytes):
            view.saveNode(name, bytes)
        }
        return entry.partition.map { Int($0.rawValue) }
    }

    /// A damaged record is about to be replaced: its version can't be subtracted, so the digest is computed anew.
    private mutating func currentVersion(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        do {
            return try view.version(partition, key)
        } catch  where error.code == .damaged {
            stale.insert(Int(partition.rawValue))
            return nil
        }
    }
}
