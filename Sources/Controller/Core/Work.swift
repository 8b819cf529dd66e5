import KVPlacement
import KVProtocols

/// Moves that belong together, until the last of them has ended: what people are told of as one thing. Stored, so that
/// a restarted controller tells of the end of what an earlier one began.
struct Work: Hashable, Sendable, Codable {
    enum Kind: String, Hashable, Sendable, Codable {
        /// Replicas of a lost node get substitutes.
        case repair
        /// A node is emptied.
        case drain
        /// Replicas and leaders are spread evenly.
        case rebalance
    }

    var kind: Kind
    /// The node that loses its replicas; 0 for rebalancing.
    let node: NodeID
    let name: String
    /// In milliseconds since 1970, for the next process.
    let begunAt: Int
    /// On this process's monotonic clock.
    var startedAt: Int
    /// How many partitions it began with; for rebalancing, how many it has begun to move.
    var partitions: Int
    /// Of moves that have ended, as far as leaders reported them.
    var keys: UInt64 = 0
    var bytes: UInt64 = 0
    /// When people are told next how far it is.
    var tellAt: Int
    /// Doubles each time: what takes long is told of seldom, so that it does not fill the event log.
    var tellAfter = Work.firstTelling

    static let firstTelling = 10_000

    init(_ kind: Kind, node: NodeID = NodeID(0), name: String = "", partitions: Int, now: Int, wall: Int) {
        self.kind = kind
        self.node = node
        self.name = name
        self.partitions = partitions
        startedAt = now
        begunAt = wall
        tellAt = now + Work.firstTelling
    }

    /// Sets the times of an earlier process in relation to this one's clock.
    mutating func resume(now: Int, wall: Int) {
        startedAt = now - max(0, wall - begunAt)
        tellAt = now + tellAfter
    }

    /// Whether a configuration in the middle of a move is part of it.
    func includes(_ configuration: Configuration) -> Bool {
        guard let previous = configuration.previous else { return false }
        switch kind {
        case .repair, .drain: return previous.contains(node) && !configuration.members.contains(node)
        case .rebalance: return true
        }
    }
}

/// How fast the leaders of moving partitions get on, from their heartbeats.
struct MoveSpeed {
    struct Entry: Hashable {
        var epoch: UInt64
        var ballot: Ballot
        /// Where it was when it was first heard of.
        var firstKeys: UInt64
        var firstAt: Int
        var latest: Heartbeat.Progress
        var latestAt: Int
    }

    private(set) var entries: [PartitionID: Entry] = [:]

    mutating func heard(_ leading: Heartbeat.Leading, now: Int) {
        let old = entries[leading.partition]
        // Without progress the last figures stay: the end of the move counts them.
        guard let progress = leading.progress else { return }
        if let old, (old.epoch, old.ballot) > (leading.epoch, leading.ballot) { return }
        var entry = Entry(
            epoch: leading.epoch, ballot: leading.ballot, firstKeys: progress.keys, firstAt: now, latest: progress,
            latestAt: now)
        // A walk that began anew is measured anew.
        if let old, (old.epoch, old.ballot) == (leading.epoch, leading.ballot), old.latest.keys <= progress.keys {
            (entry.firstKeys, entry.firstAt) = (old.firstKeys, old.firstAt)
        }
        entries[leading.partition] = entry
    }

    /// Milliseconds until the walk is over at the speed so far; `nil` while there is none to judge by.
    func millisecondsLeft(_ partition: PartitionID, epoch: UInt64) -> Int? {
        guard let entry = entries[partition], entry.epoch == epoch else { return nil }
        let (keys, time) = (entry.latest.keys - entry.firstKeys, entry.latestAt - entry.firstAt)
        guard keys > 0, time > 0 else { return nil }
        let left = Double(entry.latest.keysLeft) * Double(time) / Double(keys)
        return left < 1e12 ? Int(left) : nil
    }

    /// The last that was heard of the walk under this configuration; it is forgotten.
    mutating func end(_ partition: PartitionID, epoch: UInt64) -> Heartbeat.Progress? {
        guard let entry = entries.removeValue(forKey: partition), entry.epoch == epoch else { return nil }
        return entry.latest
    }

    mutating func keep(where isNeeded: (PartitionID, Entry) -> Bool) {
        entries = entries.filter { isNeeded($0.key, $0.value) }
    }
}
