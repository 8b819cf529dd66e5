import KVProtocols
import KVStorage
import Logging
import KVReplication
import KVTransport

/// Pages of keys over partitions, in order of key bytes.
extension Engine {
    private static let chunk = 64

    func listLocally(_ request: ListRequest) -> ListReply {
        let partitions = replicas.indices.filter { replicas[$0]?.machine.isMember == true }
            .map { PartitionID(UInt16($0)) }
        let (entries, reach, failed) = scan(partitions, request)
        return ListReply(
            entries: entries.map { ListReply.Entry(key: $0.key, record: $0.record) }, reach: reach,
            incomplete: failed)
    }

    /// A page of partitions that this node leads. It is given out only after a barrier in each of them: by then
    /// whatever the scan saw is chosen, or the page is not given out.
    func listAsLeader(
        _ partitions: [PartitionID], _ request: ListRequest, deadline: UInt64,
        completion: @escaping @Sendable (PeerReply?) -> Void
    ) {
        var led: [PartitionID] = []
        var unable: [PartitionID] = []
        for partition in partitions {
            let index = Int(partition.rawValue)
            if index < replicas.count, replicas[index]?.machine.isLeading == true {
                led.append(partition)
            } else {
                unable.append(partition)
            }
        }
        let (entries, reach, failed) = scan(led, request)
        let barrier = Barrier(
            count: led.count, unable: unable + failed, entries: entries, reach: reach, completion: completion)
        for partition in led {
            begin(partition, .barrier, deadline: deadline, isForwarded: true) { answer in
                barrier.passed(partition, answer.outcome == .passed)
            }
        }
        if led.isEmpty { barrier.finish() }
    }

    /// Collects the barriers of one page.
    ///
    /// `@unchecked Sendable`: created and called on the engine's thread only, as every completion is.
    private final class Barrier: @unchecked Sendable {
        private var count: Int
        private var unable: [PartitionID]
        private let entries: [KeyRecord]
        private let reach: Key?
        private let completion: @Sendable (PeerReply?) -> Void

        init(
            count: Int, unable: [PartitionID], entries: [KeyRecord], reach: Key?,
            completion: @escaping @Sendable (PeerReply?) -> Void
        ) {
            self.count = count
            self.unable = unable
            self.entries = entries
            self.reach = reach
            self.completion = completion
        }

        func passed(_ partition: PartitionID, _ ok: Bool) {
            if !ok, !unable.contains(partition) { unable.append(partition) }
            count -= 1
            if count == 0 { finish() }
        }

        func finish() {
            let unable = unable.sorted()
            // What a partition that could not be confirmed showed may not be chosen: it is taken back by the asker,
            // who knows which keys belong to it.
            completion(.list(entries, reach: reach, unable: unable))
        }
    }

    /// Merges the partitions' own order: from each a few entries at a time, so that a page costs about its limit. Values
    /// are read of those entries only that the page gives out. Ends early, with the key up to which it looked, when it has
    /// enough bytes, or has passed over much that is deleted or damaged: other work of the node waits meanwhile.
    private func scan(
        _ partitions: [PartitionID], _ request: ListRequest
    ) -> (entries: [KeyRecord], reach: Key?, failed: [PartitionID]) {
        var cursors: [ScanCursor] = partitions.map { ScanCursor(partition: $0, after: request.after) }
        var gaps = ScanGaps()
        defer { for (partition, key, error) in gaps.damaged { foundDamaged(partition, key, error, isCurrent: true) } }
        var entries: [KeyRecord] = []
        var valueBytes = 0
        var lookedAt = 0
        var reach: Key?
        let chunk = max(4, min(Self.chunk, request.limit * 2 / max(1, partitions.count) + 4))
        while entries.count < request.limit, lookedAt < PageBounds.entriesLookedAt,
            gaps.damaged.count < PageBounds.damagedRecords
        {
            var best: Int?
            for index in cursors.indices {
                if cursors[index].needsPage, !fill(&cursors[index], request, chunk: chunk) {
                    gaps.add(cursors[index].partition)
                }
                guard let key = cursors[index].head?.key else { continue }
                if let other = best.flatMap({ cursors[$0].head?.key }), other < key { continue }
                best = index
            }
            guard let best, let entry = cursors[best].pop() else { return (entries, nil, gaps.partitions) }
            lookedAt += 1
            let partition = cursors[best].partition
            if let found = entry.record {
                if isLive(found), let record = request.values ? value(partition, entry.key, &gaps) : found {
                    valueBytes += record.value?.count ?? 0
                    if valueBytes > PageBounds.valueBytes, !entries.isEmpty {
                        return (entries, reach, gaps.partitions)
                    }
                    entries.append(KeyRecord(key: entry.key, record: record))
                }
            } else {
                gaps.add(partition, entry.key, StorageError(.damaged, "a listing met a record that fails verification"))
            }
            reach = entry.key
        }
        let isLast = cursors.allSatisfy { $0.head == nil && $0.isLast }
        return (entries, isLast ? nil : reach, gaps.partitions)
    }

    private func isLive(_ record: Record) -> Bool {
        !record.isTombstone && (record.expiresAt == 0 || record.expiresAt > wall)
    }

    /// The record with its value, unless it is gone or can't be read.
    private func value(_ partition: PartitionID, _ key: Key, _ gaps: inout ScanGaps) -> Record? {
        do {
            return try storage.read(partition, key)
        } catch {
            if error.code == .damaged {
                // Told of once, where it is noted.
                gaps.add(partition, key, error)
            } else {
                logger.error("a scan failed", metadata: ["kv.partition": "\(partition)", "error": "\(error)"])
                gaps.add(partition)
            }
            return nil
        }
    }

    private func fill(_ cursor: inout ScanCursor, _ request: ListRequest, chunk: Int) -> Bool {
        do {
            let page = try storage.scan(
                ScanRequest(
                    partition: cursor.partition, after: cursor.after, prefix: request.prefix, limit: chunk,
                    values: false))
            cursor.take(page)
            return true
        } catch {
            cursor.take(ScanPage(entries: [], isLast: true))
            logger.error("a scan failed", metadata: ["kv.partition": "\(cursor.partition)", "error": "\(error)"])
            return false
        }
    }
}

/// Where a merge stands in one partition.
private struct ScanCursor {
    let partition: PartitionID
    private(set) var after: Key?
    private(set) var isLast = false
    private var page: ArraySlice<ScanPage.Entry> = []

    init(partition: PartitionID, after: Key?) {
        self.partition = partition
        self.after = after
    }

    var head: ScanPage.Entry? { page.first }
    var needsPage: Bool { page.isEmpty && !isLast }

    mutating func take(_ new: ScanPage) {
        page = new.entries[...]
        isLast = new.isLast || new.entries.isEmpty
        after = new.entries.last?.key ?? after
    }

    mutating func pop() -> ScanPage.Entry? { page.popFirst() }
}

/// What a scan could not tell. A page that left a damaged record out would say that there is no such key: its partition
/// counts as not looked at until another replica's record has taken its place.
private struct ScanGaps {
    private(set) var partitions: [PartitionID] = []
    private(set) var damaged: [(PartitionID, Key, StorageError)] = []

    mutating func add(_ partition: PartitionID) {
        if !partitions.contains(partition) { partitions.append(partition) }
    }

    mutating func add(_ partition: PartitionID, _ key: Key, _ error: StorageError) {
        add(partition)
        damaged.append((partition, key, error))
    }
}
