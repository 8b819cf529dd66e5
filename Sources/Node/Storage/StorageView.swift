internal import KVProtocols

/// What a reader sees: the overlay's two generations over the backend, with the states and digests of all partitions.
/// Knows nothing of the journal. Confined to the engine's thread.
final class StorageView {
    let backend: any StorageBackend
    let seed: UInt64
    var active: OverlayGeneration
    /// Handed to the flusher, until it is in the backend; empty while nothing is. Not an optional: looking into one would
    /// copy it.
    private(set) var flushing: OverlayGeneration
    private(set) var isFlushing = false
    private let empty: OverlayGeneration
    var states: [PartitionState]
    var digests: [PartitionDigest]

    init(backend: any StorageBackend, partitions: Int, seed: UInt64) {
        self.backend = backend
        self.seed = seed
        empty = OverlayGeneration(partitions: partitions)
        active = empty
        flushing = empty
        states = [PartitionState](repeating: .empty, count: partitions)
        digests = [PartitionDigest](repeating: PartitionDigest(), count: partitions)
    }

    // MARK: Generations

    /// Makes the changes so far the generation to flush, and starts a new one.
    func beginFlush() {
        precondition(!isFlushing, "a flush is under way")
        flushing = active
        active = empty
        isFlushing = true
    }

    /// Forgets the flushed generation, now that the backend has it, and returns it: freeing it takes time.
    func endFlush() -> OverlayGeneration {
        defer {
            flushing = empty
            isFlushing = false
        }
        return flushing
    }

    var overlayBytes: Int { active.bytes + flushing.bytes }
    var overlayEntries: Int { active.count + flushing.count }
    var journalBytes: Int { active.journalBytes + flushing.journalBytes }

    // MARK: Reads

    /// What the overlay says: `.some(nil)` is "there is none, don't ask the backend".
    @inline(__always)
    private func overlaid(_ partition: Int, _ key: Key) -> OverlayEntry?? {
        if active.partitions[partition].isTouched {
            if let entry = active.partitions[partition].entries[OverlayKey(key)] { return .some(entry) }
            if active.partitions[partition].isWiped { return .some(nil) }
        }
        if isFlushing, flushing.partitions[partition].isTouched {
            if let entry = flushing.partitions[partition].entries[OverlayKey(key)] { return .some(entry) }
            if flushing.partitions[partition].isWiped { return .some(nil) }
        }
        return nil
    }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        switch overlaid(Int(partition.rawValue), key) {
        case .some(.some(.record(let record))): record
        case .some: nil
        case nil: try backend.read(partition, key)
        }
    }

    func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        switch overlaid(Int(partition.rawValue), key) {
        case .some(.some(.record(let record))): record.version
        case .some: nil
        case nil: try backend.version(partition, key)
        }
    }

    // MARK: Changes

    func put(_ partition: PartitionID, _ key: Key, _ record: Record, replacing old: Version?) {
        let index = Int(partition.rawValue)
        digests[index].update(key, from: old, to: record.version, seed: seed)
        active.set(index, key, .record(record))
    }

    func purge(_ partition: PartitionID, _ key: Key, replacing old: Version?) {
        let index = Int(partition.rawValue)
        digests[index].update(key, from: old, to: nil, seed: seed)
        active.set(index, key, .purged)
    }

    func save(_ partition: PartitionID, _ state: PartitionState) {
        states[Int(partition.rawValue)] = state
        active.setState(Int(partition.rawValue), state)
    }

    func wipe(_ partition: PartitionID) {
        let index = Int(partition.rawValue)
        states[index] = .empty
        digests[index] = PartitionDigest()
        active.wipe(index)
    }

    func saveNode(_ name: String, _ bytes: [UInt8]?) {
        active.node.updateValue(bytes, forKey: name)
    }

    func node(_ name: String) throws(StorageError) -> [UInt8]? {
        if let staged = active.node[name] { return staged }
        if let staged = flushing.node[name] { return staged }
        return try backend.metadata(.node, name)
    }

    /// Scans the partition's versions and replaces its digest. O(keys of the partition).
    func recomputeDigest(of partition: PartitionID) throws(StorageError) {
        var digest = PartitionDigest()
        var request = ScanRequest(partition: partition, limit: 4096, values: false)
        while true {
            let page = try scan(request)
            for entry in page.entries {
                // A damaged record counts as the oldest possible: then the digest differs from everybody's, and a
                // leader that compares them repairs it.
                digest.update(entry.key, from: nil, to: entry.record?.version ?? .zero, seed: seed)
            }
            guard !page.isLast, let last = page.entries.last else { break }
            request.after = last.key
        }
        digests[Int(partition.rawValue)] = digest
    }
}
