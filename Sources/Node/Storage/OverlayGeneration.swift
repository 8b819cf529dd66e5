#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif
internal import KVProtocols

/// A key as the overlay looks it up and sorts it: by whole runs of bytes, not byte after byte.
struct OverlayKey: Hashable, Sendable {
    let key: Key

    init(_ key: Key) { self.key = key }

    static func == (left: OverlayKey, right: OverlayKey) -> Bool { compare(left.key, right.key) == 0 }

    func hash(into hasher: inout Hasher) {
        key.bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// The eight bytes after the first `start` as a number, zeros behind a shorter key: among keys with the same beginning
    /// they order those that they tell apart.
    func number(from start: Int) -> UInt64 {
        key.bytes.withUnsafeBytes { bytes in
            if bytes.count >= start + 8 {
                return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
            }
            var number: UInt64 = 0
            for index in start..<max(start, bytes.count) {
                number |= UInt64(bytes[index]) << UInt64(56 - 8 * (index - start))
            }
            return number
        }
    }

    /// How many of the first `limit` bytes two keys have in common.
    static func sharedLength(_ left: Key, _ right: Key, limit: Int) -> Int {
        left.bytes.withUnsafeBytes { left in
            right.bytes.withUnsafeBytes { right in
                let limit = min(limit, left.count, right.count)
                guard limit > 0, let leftBase = left.baseAddress, let rightBase = right.baseAddress else { return 0 }
                if memcmp(leftBase, rightBase, limit) == 0 { return limit }
                return (0..<limit).first { left[$0] != right[$0] } ?? limit
            }
        }
    }

    /// Negative, zero or positive as `left` comes before, with or after `right`.
    static func compare(_ left: Key, _ right: Key) -> Int {
        left.bytes.withUnsafeBytes { left in
            right.bytes.withUnsafeBytes { right in
                if let leftBase = left.baseAddress, let rightBase = right.baseAddress {
                    let order = memcmp(leftBase, rightBase, min(left.count, right.count))
                    if order != 0 { return Int(order) }
                }
                return left.count - right.count
            }
        }
    }
}

/// What the overlay knows of one key.
enum OverlayEntry: Sendable {
    case record(Record)
    /// The backend may have a record, which is to be forgotten.
    case purged

    /// Without the key and the dictionary's share.
    var bytes: Int {
        switch self {
        case .record(let record): record.value?.count ?? 0
        case .purged: 0
        }
    }
}

/// The changes of one partition's records since the last flush began. One reference only: reads copy it.
struct OverlayPartition: Sendable {
    var entries: [OverlayKey: OverlayEntry] = [:]
    /// Whatever lies below (an older generation, the backend) is gone.
    var isWiped = false
    var isTouched = false

    /// The entries in order of keys. Numbers are sorted, not references: counting those would cost more than comparing. They
    /// are made of what follows the beginning that all keys share, as keys of one kind often do.
    func sorted() -> [(key: OverlayKey, value: OverlayEntry)] {
        let unordered = Array(entries)
        guard let first = unordered.first?.key.key else { return [] }
        var shared = first.bytes.count
        for entry in unordered { shared = OverlayKey.sharedLength(first, entry.key.key, limit: shared) }
        var order = unordered.indices.map { (number: unordered[$0].key.number(from: shared), index: $0) }
        order.sort { left, right in
            if left.number != right.number { return left.number < right.number }
            return OverlayKey.compare(unordered[left.index].key.key, unordered[right.index].key.key) < 0
        }
        return order.map { unordered[$0.index] }
    }
}

/// Everything staged between two flushes, one entry per key. While it takes changes it belongs to the engine; once it
/// is being flushed it no longer changes and is shared with the flusher.
struct OverlayGeneration: Sendable {
    /// What an entry takes beside key and value: dictionary slot, record, two array headers. Estimated.
    static let entryOverhead = 160

    var partitions: [OverlayPartition]
    /// The partitions with a change, in the order of their first one.
    private(set) var touched: [Int] = []
    /// The partitions' states that changed.
    private(set) var states: [Int: PartitionState] = [:]
    var node: [String: [UInt8]?] = [:]
    /// Entries of all partitions.
    private(set) var count = 0
    /// Estimated memory of the entries.
    private(set) var bytes = 0
    /// What the journal holds for this generation, records that were replaced included.
    var journalBytes = 0

    init(partitions: Int) {
        self.partitions = [OverlayPartition](repeating: OverlayPartition(), count: partitions)
    }

    var isEmpty: Bool { touched.isEmpty && node.isEmpty }

    mutating func set(_ partition: Int, _ key: Key, _ entry: OverlayEntry) {
        touch(partition)
        bytes += entry.bytes
        if let old = partitions[partition].entries.updateValue(entry, forKey: OverlayKey(key)) {
            bytes -= old.bytes
        } else {
            count += 1
            bytes += key.bytes.count + OverlayGeneration.entryOverhead
        }
    }

    mutating func setState(_ partition: Int, _ state: PartitionState) {
        touch(partition)
        states[partition] = state
    }

    /// O(entries of the partition).
    mutating func wipe(_ partition: Int) {
        touch(partition)
        for (key, entry) in partitions[partition].entries {
            bytes -= entry.bytes + key.key.bytes.count + OverlayGeneration.entryOverhead
            count -= 1
        }
        partitions[partition].entries = [:]
        partitions[partition].isWiped = true
        states[partition] = nil
    }

    /// Has the state and digest of the partition stored with the next flush, if it does not change before.
    mutating func touch(_ partition: Int) {
        guard !partitions[partition].isTouched else { return }
        partitions[partition].isTouched = true
        touched.append(partition)
    }
}
