import KVProtocols
import KVReplication

/// Counts the keys that a walk through one partition has passed, from the pages that the store gave out for it: the
/// walk itself says only where it is. Confined to the engine's thread.
///
/// A count for people: when two walks overlap, as at a change of leaders, it may be wrong until the next one begins.
final class WalkCount {
    private var passed: UInt64 = 0
    private var after: Key?
    private var page: [WalkPage.Entry] = []

    /// A page was read after `after`; `nil` begins a walk.
    func read(_ page: WalkPage, after: Key?) {
        if let after {
            // The same page once more passes nothing.
            if after != self.after { passed += UInt64(count(upTo: after)) }
        } else {
            passed = 0
        }
        self.after = after
        self.page = page.entries
    }

    /// How many keys of its buckets are behind a walk.
    func keys(behind walk: WalkPosition) -> UInt64 {
        if walk.isOver { return passed + UInt64(page.count) }
        guard let horizon = walk.after else { return 0 }
        return passed + (horizon == after ? 0 : UInt64(count(upTo: horizon)))
    }

    /// Entries of the page at or before a key; they are in ascending order.
    private func count(upTo key: Key) -> Int {
        var (low, high) = (0, page.count)
        while low < high {
            let middle = (low + high) / 2
            if key < page[middle].key { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension Heartbeat.Progress {
    /// What is behind a walk exactly, and what lies before it as an estimate from the node's mean partition and record.
    /// - Parameters:
    ///   - passed: keys behind the walk.
    ///   - nodeKeys: keys of all partitions on the node.
    init(passed: UInt64, walk: WalkPosition, nodeKeys: UInt64, nodeBytes: UInt64, partitions: Int) {
        let share = Double(walk.buckets.nonzeroBitCount) / Double(PartitionDigest.bucketCount)
        let expected = Double(nodeKeys) / Double(max(1, partitions)) * share
        let left = walk.isOver ? 0 : max(0, expected - Double(passed))
        let record = nodeKeys == 0 ? 0 : Double(nodeBytes) / Double(nodeKeys)
        self.init(
            keys: passed, keysLeft: Heartbeat.Progress.whole(left),
            bytes: Heartbeat.Progress.whole(Double(passed) * record),
            bytesLeft: Heartbeat.Progress.whole(left * record))
    }

    private static func whole(_ number: Double) -> UInt64 {
        number < 9e15 ? UInt64(max(0, number).rounded()) : 9_000_000_000_000_000
    }
}
