public import KVProtocols

/// What only the replication of partitions asks for.
extension NodeStorage {
    /// The key of the digests' hash.
    public var digestSeed: UInt64 { view.seed }

    /// Whether a page of a scan costs what it looks at, not all keys of the partition.
    public var scansInOrder: Bool { backend.capabilities.orderedScan }

    /// The keys of the partition that the backend may not have as they are now, each once, with the version that `read`
    /// returns, `nil` for none; in no order. After a start these are the ones that the journal brought. O(overlaid keys
    /// of the partition).
    public func overlaid(_ partition: PartitionID) -> [(key: Key, version: Version?)] {
        let index = Int(partition.rawValue)
        let active = view.active.partitions[index]
        var newest = active.isWiped ? [:] : view.flushing.partitions[index].entries
        newest.merge(active.entries) { _, newer in newer }
        return newest.map { key, entry in
            if case .record(let record) = entry { (key.key, record.version) } else { (key.key, nil) }
        }
    }
}
