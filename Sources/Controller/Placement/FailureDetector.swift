public import KVProtocols

/// Judges from heartbeats which nodes are up. Pure: the time, in milliseconds of a clock that never goes back, is an
/// input, and the same inputs give the same answers.
///
/// A pause of the judge itself is not held against the nodes: when `step` was not called for longer than
/// `Limits.stall`, the gap counts for nobody.
public struct FailureDetector: Sendable {
    public struct Limits: Hashable, Sendable {
        /// Silence in milliseconds after which a node is suspect; shown to people, nothing else follows from it.
        public var suspectAfter: Int
        /// Silence in milliseconds after which a node is down.
        public var failAfter: Int
        /// Milliseconds for which a node is down before its replicas are given to others.
        public var replaceAfter: Int
        /// Milliseconds for which a node is up before replicas are moved to it for the sake of balance.
        public var settleAfter: Int
        /// Milliseconds between two steps that are taken for a pause of the judge.
        public var stall: Int

        public init(failAfter: Int = 3000, replaceAfter: Int = 5000) {
            suspectAfter = max(1, failAfter / 2)
            self.failAfter = failAfter
            self.replaceAfter = replaceAfter
            settleAfter = failAfter
            stall = max(1000, failAfter / 2)
        }
    }

    public enum Condition: Hashable, Sendable {
        case up
        /// Silent for a while; still counted as up.
        case suspect
        /// Silent for too long, or unable to make writes durable.
        case down
        /// Down for so long that its replicas go to others.
        case lost

        /// Whether the node counts towards quorums.
        public var isLive: Bool { self == .up || self == .suspect }
    }

    public struct Status: Hashable, Sendable {
        public var condition: Condition
        /// When the node was last heard of, or when watching it began.
        public var lastHeard: Int
        /// When the node came up or went down, whichever was last.
        public var since: Int
        /// The node itself says that it can't make writes durable.
        public var isFailing: Bool
    }

    /// What `step` or `heard` noticed.
    public enum Change: Hashable, Sendable {
        case failed(NodeID, silentFor: Int, isFailing: Bool)
        case replaceDue(NodeID)
        case returned(NodeID, downFor: Int)
    }

    public let limits: Limits
    private var entries: [NodeID: Status] = [:]
    private var lastStep: Int?

    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    public func status(of node: NodeID) -> Status? { entries[node] }

    /// Whether the node counts towards quorums; `false` for a node that is not watched.
    public func isLive(_ node: NodeID) -> Bool { entries[node]?.condition.isLive ?? false }

    /// Whether the node has been up long enough to be given replicas for the sake of balance.
    public func isSettled(_ node: NodeID, now: Int) -> Bool {
        guard let entry = entries[node] else { return false }
        return entry.condition == .up && now - entry.since >= limits.settleAfter
    }

    /// Begins to watch a node, as one that was heard of just now.
    public mutating func watch(_ node: NodeID, now: Int) {
        guard entries[node] == nil else { return }
        entries[node] = Status(condition: .up, lastHeard: now, since: now, isFailing: false)
    }

    public mutating func forget(_ node: NodeID) {
        entries[node] = nil
    }

    /// Takes note of a heartbeat. A node that says it can't make writes durable goes down at once.
    public mutating func heard(_ node: NodeID, healthy: Bool, now: Int) -> Change? {
        watch(node, now: now)
        guard var entry = entries[node] else { return nil }
        defer { entries[node] = entry }
        entry.lastHeard = max(entry.lastHeard, now)
        entry.isFailing = !healthy
        switch (entry.condition.isLive, healthy) {
        case (true, true):
            entry.condition = .up
            return nil
        case (true, false):
            entry.condition = .down
            entry.since = now
            return .failed(node, silentFor: 0, isFailing: true)
        case (false, true):
            let downFor = now - entry.since
            entry.condition = .up
            entry.since = now
            return .returned(node, downFor: downFor)
        case (false, false):
            return nil
        }
    }

    /// Lets time pass. Changes come in order of node. O(nodes).
    public mutating func step(now: Int) -> [Change] {
        let gap = lastStep.map { now - $0 } ?? 0
        lastStep = now
        var changes: [Change] = []
        for node in entries.keys.sorted() {
            guard var entry = entries[node] else { continue }
            if gap > limits.stall {
                entry.lastHeard = min(now, entry.lastHeard + gap)
                entry.since = min(now, entry.since + gap)
            }
            let silent = now - entry.lastHeard
            if entry.condition.isLive {
                if silent >= limits.failAfter {
                    entry.condition = .down
                    entry.since = now
                    changes.append(.failed(node, silentFor: silent, isFailing: false))
                } else {
                    entry.condition = silent >= limits.suspectAfter ? .suspect : .up
                }
            }
            if entry.condition == .down, now - entry.since >= limits.replaceAfter {
                entry.condition = .lost
                changes.append(.replaceDue(node))
            }
            entries[node] = entry
        }
        return changes
    }
}
