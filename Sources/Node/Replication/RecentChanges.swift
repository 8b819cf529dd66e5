import KVProtocols

/// The last changes to one partition's records on this node: a bounded list in memory, in order of time.
///
/// Members differ, when a leader goes, by what it had on its way; so nearly every key in which they differ is among the
/// last that one of them changed. A mark keeps a moment: what was held then can still be told after later changes,
/// until there are too many of them.
struct RecentChanges: Sendable {
    struct Mark: Hashable, Sendable {
        let ballot: Ballot
        /// Of everything held at that moment.
        let digest: PartitionDigest
    }

    private struct Change: Sendable {
        let key: Key
        /// `nil` for absent, `.zero` for what can't be read.
        let before: Version?
        let after: Version?
    }

    /// Room for keys of this length on average; longer ones leave room for fewer.
    private static let keyBytes = 64

    /// Of the very last changes the newest version of a key can be told whatever the capacity: a late message must not take the place
    /// of a newer record that is damaged.
    static let lastCount = 64

    private let capacity: Int
    /// Up to the mark, if there is one; at most `capacity`.
    private var older: [Change] = []
    /// Since the mark, or since the last loss; at most twice `capacity`.
    private var newer: [Change] = []
    private var newerKeyBytes = 0
    /// The very last, in a ring.
    private var last: [Recollection.Entry] = []
    private var oldestOfLast = 0
    /// `nil` when none was made, or more followed it than there is room for.
    private(set) var mark: Mark?

    /// - Parameter last: what is known of changes before a restart, the latest last.
    init(capacity: Int, last: [Recollection.Entry] = []) {
        self.capacity = max(0, capacity)
        older = last.suffix(self.capacity).map { Change(key: $0.key, before: nil, after: $0.version) }
        self.last = last.suffix(Self.lastCount)
    }

    /// Notes one change. O(1) amortised.
    mutating func record(_ key: Key, from before: Version?, to after: Version?) {
        // Left to itself the list would end with twice the room that it ever needs, in every partition.
        if newer.count == capacity { newer.reserveCapacity(2 * capacity + 1) }
        newer.append(Change(key: key, before: before, after: after))
        noteLast(Recollection.Entry(key: key, version: after))
        newerKeyBytes += key.bytes.count
        guard newer.count > 2 * capacity || newerKeyBytes > 2 * capacity * Self.keyBytes else { return }
        mark = nil
        older = []
        newer.removeFirst(newer.count - min(capacity, newer.count / 2))
        newerKeyBytes = newer.reduce(0) { $0 + $1.key.bytes.count }
    }

    private mutating func noteLast(_ change: Recollection.Entry) {
        guard last.count == Self.lastCount else { return last.append(change) }
        last[oldestOfLast] = change
        oldestOfLast = (oldestOfLast + 1) % Self.lastCount
    }

    /// Keeps this moment, and no earlier one. O(capacity).
    mutating func makeMark(_ ballot: Ballot, digest: PartitionDigest) {
        var kept: [Change] = []
        kept.reserveCapacity(min(capacity, older.count + newer.count))
        kept += older.suffix(max(0, capacity - newer.count))
        kept += newer.suffix(capacity)
        older = kept
        newer = []
        newerKeyBytes = 0
        mark = Mark(ballot: ballot, digest: digest)
    }

    /// The newest version of the key that is remembered; `nil` when none is. O(capacity).
    func newest(of key: Key) -> Version? {
        let remembered = (older + newer).lazy.filter { $0.key == key }.compactMap(\.after).max()
        let amongLast = last.lazy.filter { $0.key == key }.compactMap(\.version).max()
        return [remembered, amongLast].compactMap { $0 }.max()
    }

    /// Nothing is held any more.
    mutating func wipe() {
        self = RecentChanges(capacity: capacity)
    }

    /// The keys in these buckets that changed last, each once, with the version that is held now, or was at the mark;
    /// the latest first. O(capacity).
    func list(buckets: UInt64, atMark: Bool) -> [Recollection.Entry] {
        var entries: [Recollection.Entry] = []
        var seen: Set<Key> = []
        var room = Recollection.maximumBytes
        for part in atMark ? [older] : [newer, older] {
            for change in part.reversed()
            where buckets & PartitionDigest.bit(of: change.key) != 0 && seen.insert(change.key).inserted {
                let entry = Recollection.Entry(key: change.key, version: change.after)
                room -= entry.cost
                guard room >= 0, entries.count < capacity else { return entries }
                entries.append(entry)
            }
        }
        return entries
    }

    /// What was held at the mark of the keys that changed since. O(capacity).
    func heldAtMark() -> [Key: Version?] {
        var held: [Key: Version?] = [:]
        for change in newer where !held.keys.contains(change.key) {
            held.updateValue(change.before, forKey: change.key)
        }
        return held
    }
}

extension PartitionDigest {
    /// The key's bucket as a bit of one word.
    static func bit(of key: Key) -> UInt64 { 1 << UInt64(bucket(of: key)) }
}
