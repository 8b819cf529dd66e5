public import KVProtocols

extension NodeStorage {
    /// A frame is closed at this size, so that one never needs a large segment of its own unless a record is large.
    private static let frameLimitBytes = 1 << 20

    // MARK: Staging

    /// Stores the record, whatever was there before.
    ///
    /// `replacing` is what `version` says of the key; it keeps the digest right. When that throws `.damaged`, pass the version
    /// if it is known from elsewhere, else `nil`, and call `doubtDigest(of:)` afterwards. O(record).
    public func put(_ partition: PartitionID, _ key: Key, _ record: Record, replacing old: Version?) {
        view.put(partition, key, record, replacing: old)
        stage { $0.append(put: partition, key, record) }
    }

    /// Forgets the key, of which `version` says `replacing`. O(key).
    public func purge(_ partition: PartitionID, _ key: Key, replacing old: Version) {
        view.purge(partition, key, replacing: old)
        stage { $0.append(purge: partition, key) }
    }

    /// Stores the partition's state, as a whole.
    public func save(_ partition: PartitionID, _ state: PartitionState) {
        view.save(partition, state)
        stage { $0.append(state: state, of: partition) }
    }

    /// Forgets every record, the digest and the state of the partition; what is saved afterwards stays.
    /// O(overlaid keys of the partition).
    public func wipe(_ partition: PartitionID) {
        view.wipe(partition)
        doubtfulDigests.remove(Int(partition.rawValue))
        stage { $0.append(wipe: partition) }
    }

    /// Forgets every record and the digest of the partition and stores `state`, both or neither after a crash: what was
    /// promised outlives the records.
    public func wipe(_ partition: PartitionID, keeping state: PartitionState) {
        // A frame is there after a crash as a whole or not at all, and two entries always fit a new one.
        if !frame.isEmpty { sealFrame() }
        wipe(partition)
        save(partition, state)
    }

    /// Stores a value of the node's own metadata, or removes it. At most 1 MiB; `name` is 1 to 64 bytes of `a-z0-9_` and
    /// doesn't start with `storage_`.
    public func saveNode(_ name: String, _ bytes: [UInt8]?) {
        precondition(
            (1...64).contains(name.utf8.count) && !name.hasPrefix(StorageCheckpoint.reservedPrefix),
            "not a name for the node's metadata: \(name)")
        view.saveNode(name, bytes)
        stage { $0.append(node: name, bytes) }
    }

    /// Hands what is staged to the journal's thread: everything that waits there becomes one write and one sync.
    /// Cheap when nothing is staged.
    public func commit() {
        if !frame.isEmpty { sealFrame() }
        if !sealed.isEmpty {
            let reusable = journal.submit(sealed)
            sealed.removeAll(keepingCapacity: true)
            if let reusable, failure == nil {
                reusable.reset(firstPosition: appended + 1)
                frame = reusable
            }
        }
        if view.active.bytes > settings.overlayLimitBytes / 4 { startFlushIfDue() }
    }

    private func stage(_ append: (JournalFrame) -> Int) {
        if view.active.journalBytes == 0 { dirtySinceMilliseconds = nowMilliseconds }
        appended += 1
        // After a failure nothing becomes durable any more: keeping the bytes would only take memory.
        guard failure == nil, !isStopped else { return }
        view.active.journalBytes += append(frame)
        if frame.count >= NodeStorage.frameLimitBytes { sealFrame() }
    }

    private func sealFrame() {
        sealed.append(frame)
        frame = JournalFrame(firstPosition: appended + 1)
    }
}
