internal import KVProtocols

/// The copying and comparing of one conversion, between two open engines.
struct ConversionCopy {
    private let old: any StorageBackend
    private let new: any StorageBackend
    private let partitions: Int
    private let seed: UInt64
    private let limits: FlushJob.Limits
    private let progressName: String
    private let report: (StorageConversion.Progress) -> Void
    private let total: UInt64
    private(set) var summary = StorageConversion.Summary(records: 0, bytes: 0, wasResumed: false)

    /// Per partition: what was read of the old engine while it was copied; `nil` for what an earlier call copied.
    private var digests: [PartitionDigest?]
    /// What the new engine got beside the records, to be read back.
    private var written: [StorageOperation] = []

    init(
        from old: any StorageBackend, to new: any StorageBackend, partitions: Int, seed: UInt64,
        limits: FlushJob.Limits, progressName: String, report: @escaping (StorageConversion.Progress) -> Void
    ) throws(StorageError) {
        self.old = old
        self.new = new
        self.partitions = partitions
        self.seed = seed
        self.limits = limits
        self.progressName = progressName
        self.report = report
        total = try old.statistics().keys
        digests = [PartitionDigest?](repeating: nil, count: partitions)
    }

    /// Copies every record that is not there yet. Each batch ends with the note of how far it reaches, which a crash leaves
    /// as it was, or newer than nothing that it speaks of: it is applied after its records where batches aren't atomic.
    mutating func records() throws(StorageError) {
        var (partition, after) = try noted()
        summary.wasResumed = partition > 0 || after != nil
        while partition < partitions {
            let isWhole = after == nil
            var digest = PartitionDigest()
            var pages = RecordPages(old, PartitionID(UInt16(partition)), after: after, limits: limits)
            while let page = try pages.next() {
                var batch: [StorageOperation] = []
                for (key, record) in page {
                    digest.update(key, from: nil, to: record.version, seed: seed)
                    summary.records += 1
                    summary.bytes += UInt64(key.bytes.count + (record.value?.count ?? 0))
                    batch.append(.put(PartitionID(UInt16(partition)), key, record))
                }
                try apply(batch, reaching: (partition, page.last?.key))
                report(StorageConversion.Progress(stage: .copying, records: summary.records, total: total))
            }
            digests[partition] = isWhole ? digest : nil
            partition += 1
            after = nil
        }
        try apply([], reaching: (partitions, nil))
    }

    /// Copies what the node and the storage keep beside the records; the checkpoint last.
    mutating func metadata(_ nodeNames: [String], checkpoint: StorageCheckpoint) throws(StorageError) {
        for partition in 0..<partitions {
            let scope = MetadataScope.partition(PartitionID(UInt16(partition)))
            if let bytes = try old.metadata(scope, StorageCheckpoint.stateName) {
                written.append(.metadata(scope, StorageCheckpoint.stateName, bytes))
            }
            if let bytes = try digestBytes(of: partition, scope) {
                written.append(.metadata(scope, StorageCheckpoint.digestName, bytes))
            }
        }
        for name in nodeNames {
            if let bytes = try old.metadata(.node, name) { written.append(.metadata(.node, name, bytes)) }
        }
        if !written.isEmpty { try new.apply(written) }
        let last = StorageOperation.metadata(.node, StorageCheckpoint.name, checkpoint.bytes)
        try new.apply([last])
        written.append(last)
    }

    /// The stored digest where the records add up to it, otherwise the one that they have; `nil`: none, and no records.
    ///
    /// A stored one that says more than is there would have the node taken for complete until a scrub found the records
    /// gone. With the true one it is a member that lacks something, which is safe whoever leads: it starts as a follower,
    /// its leader compares digests and sends what is missing, and before it leads it learns the keys that differ from a
    /// quorum. That is what a running node does of itself after the scrub's finding, so nothing is gained by refusing.
    private mutating func digestBytes(of partition: Int, _ scope: MetadataScope) throws(StorageError) -> [UInt8]? {
        let wanted = try wantedDigest(of: partition)
        let bytes = try old.metadata(scope, StorageCheckpoint.digestName)
        let stored: PartitionDigest? =
            if let bytes { bytes.withUnsafeBytes { DigestCodec.decode($0) } ?? nil } else { PartitionDigest() }
        if stored == wanted { return bytes }
        summary.inconsistentPartitions += 1
        return DigestCodec.encode(wanted)
    }

    /// Of the records in the old engine.
    private mutating func wantedDigest(of partition: Int) throws(StorageError) -> PartitionDigest {
        if let digest = digests[partition] { return digest }
        let digest = try digest(of: old, partition) { _ in }
        digests[partition] = digest
        return digest
    }

    /// Reads everything that the new engine has: verifies each record and compares keys and versions partition by
    /// partition with the old engine's, and metadata with what was written.
    mutating func compare() throws(StorageError) {
        var compared: UInt64 = 0
        for partition in 0..<partitions {
            let found = try digest(of: new, partition) { count in
                compared += UInt64(count)
                report(StorageConversion.Progress(stage: .comparing, records: compared, total: total))
            }
            guard try found == wantedDigest(of: partition) else {
                throw ConversionCopy.different("for partition \(partition)")
            }
        }
        for case .metadata(let scope, let name, let bytes) in written {
            guard try new.metadata(scope, name) == bytes else {
                throw ConversionCopy.different("as metadata '\(name)'")
            }
        }
        summary.records = max(summary.records, compared)
        try new.apply([.metadata(.node, progressName, nil)])
    }

    private static func different(_ what: String) -> StorageError {
        StorageError(
            .damaged,
            "what was written \(what) is not what is read back; nothing was given up: remove the new folder, and look "
                + "after its disk")
    }

    private func digest(
        of backend: any StorageBackend, _ partition: Int, _ count: (Int) -> Void
    ) throws(StorageError) -> PartitionDigest {
        var digest = PartitionDigest()
        var pages = RecordPages(backend, PartitionID(UInt16(partition)), after: nil, limits: limits)
        while let page = try pages.next() {
            for (key, record) in page { digest.update(key, from: nil, to: record.version, seed: seed) }
            count(page.count)
        }
        return digest
    }

    private func apply(_ batch: [StorageOperation], reaching place: (Int, Key?)) throws(StorageError) {
        var writer = ByteWriter()
        writer.integer(UInt32(place.0))
        let note = StorageOperation.metadata(.node, progressName, writer.bytes + (place.1?.bytes ?? []))
        if new.capabilities.atomicBatches { return try new.apply(batch + [note]) }
        if !batch.isEmpty { try new.apply(batch) }
        try new.apply([note])
    }

    private func noted() throws(StorageError) -> (partition: Int, after: Key?) {
        guard let bytes = try new.metadata(.node, progressName) else { return (0, nil) }
        guard bytes.count >= 4 else {
            throw StorageError(.damaged, "the note of the conversion's progress can't be read")
        }
        let partition = bytes.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self)) }
        return (Int(partition), bytes.count > 4 ? Key(unchecked: Array(bytes[4...])) : nil)
    }
}

/// A partition's records in order of keys, in pages that fit into one batch.
struct RecordPages {
    private let backend: any StorageBackend
    private let limits: FlushJob.Limits
    private var request: ScanRequest
    private var isOver = false

    init(_ backend: any StorageBackend, _ partition: PartitionID, after: Key?, limits: FlushJob.Limits) {
        self.backend = backend
        self.limits = limits
        request = ScanRequest(partition: partition, after: after, limit: min(1_000, limits.operations), values: false)
    }

    /// The next page with values, `nil` at the end. Values are read one by one, so that a page of large ones has a bound.
    mutating func next() throws(StorageError) -> [(key: Key, record: Record)]? {
        guard !isOver else { return nil }
        let page = try backend.scan(request)
        var records: [(key: Key, record: Record)] = []
        var bytes = 0
        for entry in page.entries {
            guard bytes < limits.bytes else { break }
            guard entry.record != nil, let record = try backend.read(request.partition, entry.key) else {
                throw RecordPages.damaged(request.partition)
            }
            bytes += entry.key.bytes.count + (record.value?.count ?? 0)
            records.append((entry.key, record))
        }
        isOver = page.isLast && records.count == page.entries.count
        request.after = records.last?.key ?? request.after
        if records.isEmpty, !isOver { throw RecordPages.damaged(request.partition) }
        return records.isEmpty ? nil : records
    }

    private static func damaged(_ partition: PartitionID) -> StorageError {
        StorageError(
            .damaged,
            "a record of partition \(partition) fails verification; start the node and let it be repaired from the other replicas "
                + "(`kv events` tells of it), then convert again")
    }
}
