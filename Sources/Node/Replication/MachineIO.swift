public import KVProtocols

/// What happens to a machine.
public enum Input: Sendable {
    case message(from: NodeID, Header, Message)
    /// A client's operation. `id` names it in `Output.replies`; `wallMilliseconds` since 1970 judges expiry only.
    case operation(id: UInt64, Operation, wallMilliseconds: UInt64)
    /// The time given for the operation is over: answer it now.
    case cancel(id: UInt64)
    /// A configuration from a cluster map.
    case configuration(Configuration)
    /// The connection to a peer closed, or it is silent: a hint to elect, and not to count on it.
    case peerLost(NodeID)
    case peerBack(NodeID)
    /// What is stored of the key was found to fail verification, though nobody asked for it.
    case damaged(Key)
    /// The node's disk is full, or has room again: a node that can't store leads only when nobody else can.
    case disk(isFull: Bool)
    /// Whether this leader may begin to bring a member up to date; it may unless told otherwise. What has begun goes on.
    case repair(isAllowed: Bool)
    /// Time has passed; to be given at least every 50 ms.
    case tick
    /// All that arrived together was given: what can go out as one message goes out now.
    case turnEnd
    /// Stop leading: the node is shutting down or can't write.
    case resign
}

/// What a machine wants done, in this order of freedom.
public struct Output: Sendable {
    /// May leave at once.
    public var now: [Outgoing] = []
    /// May leave, or be given back when addressed to the machine's own node, only when all that was staged in the store
    /// up to the end of this step is durable.
    public var afterPersist: [Outgoing] = []
    /// Answers to clients, at once.
    public var replies: [Reply] = []
    /// Set when the role, the leader known, or the sync state changed.
    public var statusChanged = false

    public struct Reply: Hashable, Sendable {
        public var id: UInt64
        public var outcome: Outcome

        public init(id: UInt64, outcome: Outcome) {
            self.id = id
            self.outcome = outcome
        }
    }

    public init() {}

    public mutating func removeAll() {
        // Mostly two of them hold nothing, and to empty nothing has its price.
        if !now.isEmpty { now.removeAll(keepingCapacity: true) }
        if !afterPersist.isEmpty { afterPersist.removeAll(keepingCapacity: true) }
        if !replies.isEmpty { replies.removeAll(keepingCapacity: true) }
        statusChanged = false
    }
}

/// The machine's times and bounds; times in milliseconds. Everything else derives from these.
public struct MachineSettings: Hashable, Sendable {
    /// A leader shows itself this often.
    public var beacon: UInt64 = 150
    /// A member that heard no leader for this long, plus a random part of it, canvasses.
    public var electionTimeout: UInt64 = 700
    /// What is not answered is said again after this.
    public var retransmit: UInt64 = 250
    /// A leader that should hand over or change configuration waits this long for what is in flight.
    public var drain: UInt64 = 500
    /// Operations that one machine lets wait; beyond it they are refused.
    public var maximumWaiting = 10_000
    /// Records remembered for members that lag, before a walk is needed for them.
    public var maximumTail = 1_024
    /// Keys being settled or copied at the same time during a sync.
    public var syncWindow = 128
    /// Copies that one member under repair has not confirmed; the next keys are looked at when half of them are.
    public var repairWindow = 128
    /// The last changes remembered per partition; beyond them a walk is needed to find in which keys members differ.
    public var recentChanges = 512

    public init() {}

    /// For a node of a cluster of so many partitions: the fewer there are, the longer a member may have been away without needing
    /// a walk. Up to 1,024 partitions have 131,072 changes together, and up to three times as many around a mark, each of some
    /// 130 bytes of memory if keys are short; what is beyond has 128 each.
    public init(partitions: Int) {
        recentChanges = min(2_048, max(128, (1 << 17) / max(1, partitions)))
    }
}
