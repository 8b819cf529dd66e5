public import KVProtocols

/// Decides which configurations come next: ends moves that are done, repairs what failures damaged, empties draining
/// nodes, evens out. At most one step per partition and call; deterministic.
///
/// It never changes the previous set of a move, and takes no step after which a member set would lack a live quorum.
public struct MovePlanner: Sendable {
    /// A node as the planner sees it. A member that is not among the nodes is one that no longer exists.
    public struct Node: Hashable, Sendable {
        public var id: NodeID
        public var zone: String
        public var condition: FailureDetector.Condition
        /// Up for long enough to be given replicas for the sake of balance.
        public var isSettled: Bool
        public var isDraining: Bool
        /// As in `PlacementNode`.
        public var weight: Int

        public init(
            id: NodeID, zone: String = "", condition: FailureDetector.Condition = .up, isSettled: Bool = true,
            isDraining: Bool = false, weight: Int = PlacementNode.standardWeight
        ) {
            self.id = id
            self.zone = zone
            self.condition = condition
            self.isSettled = isSettled
            self.isDraining = isDraining
            self.weight = weight
        }
    }

    /// What the live leader of highest ballot said about a partition.
    public struct Leader: Hashable, Sendable {
        public var epoch: UInt64
        public var isSynced: Bool
        /// Who leads: it is the one that copies. `nil`: its work is not counted.
        public var node: NodeID?
        /// Members that are not known to hold everything.
        public var lagging: [NodeID]

        public init(epoch: UInt64, isSynced: Bool, node: NodeID? = nil, lagging: [NodeID] = []) {
            self.epoch = epoch
            self.isSynced = isSynced
            self.node = node
            self.lagging = lagging
        }
    }

    public struct Input: Hashable, Sendable {
        public var partitions: [Configuration]
        /// In the order in which the first map places them.
        public var nodes: [Node]
        public var policy: ReplicationPolicy
        /// One for each partition; `nil` where no live node says that it leads.
        public var leaders: [Leader?]
        /// Only end moves, start none: there is an alarm.
        public var isHalted: Bool

        public init(
            partitions: [Configuration], nodes: [Node], policy: ReplicationPolicy, leaders: [Leader?],
            isHalted: Bool = false
        ) {
            self.partitions = partitions
            self.nodes = nodes
            self.policy = policy
            self.leaders = leaders
            self.isHalted = isHalted
        }
    }

    public enum Reason: Hashable, Sendable {
        /// A member was lost, or there are fewer than there should be.
        case repair
        case drain
        case rebalance
    }

    public struct Step: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            case start(Reason)
            /// The leader said that a write quorum of the members holds everything, and so does every new one that is up.
            case finish
            /// A new member was lost: another one takes its place.
            case retarget
            /// Back to the previous members, who all are up again.
            case revert
        }

        public var partition: Int
        public var configuration: Configuration
        public var kind: Kind
    }

    /// How many partitions may be in the middle of a move.
    public let limit: Int
    /// In how many of those moves one node may receive a copy, and in how many it may send them.
    public let limitPerNode: Int
    /// How many partitions should move and have not begun to, as `plan` last saw: for want of room under the limits, of
    /// live members, of calm, or because of an alarm.
    public var waiting: Int { damaged + uneven }
    private var damaged = 0
    private var uneven = 0
    /// Partitions whose move repairs a loss, which its end makes pointless if the lost node comes back.
    private var repairing: Set<Int> = []

    /// - Parameter repairing: partitions in the middle of a move that replaces lost members, as far as that is known
    ///   from before a restart; any other move under way is ended like a planned one.
    public init(limit: Int = 8, limitPerNode: Int = 4, repairing: Set<Int> = []) {
        self.limit = max(1, limit)
        self.limitPerNode = max(1, limitPerNode)
        self.repairing = repairing
    }

    /// The next steps, in order of partition within ends, repairs, drains and rebalancing.
    public mutating func plan(_ input: Input) -> [Step] {
        var turn = PlannerTurn(input, limit: limit, limitPerNode: limitPerNode)
        repairing = repairing.filter { $0 < input.partitions.count && input.partitions[$0].isJoint }
        for partition in input.partitions.indices where input.partitions[partition].isJoint {
            turn.endMove(partition, isRepair: repairing.contains(partition))
        }
        damaged = turn.repairAndDrain()
        if let seen = input.isHalted ? 0 : turn.rebalance() { uneven = seen }
        for step in turn.steps where step.kind == .start(.repair) && step.configuration.isJoint {
            repairing.insert(step.partition)
        }
        return turn.steps
    }
}
