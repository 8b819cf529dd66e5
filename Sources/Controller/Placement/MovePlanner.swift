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

        public init(
            id: NodeID, zone: String = "", condition: FailureDetector.Condition = .up, isSettled: Bool = true,
            isDraining: Bool = false
        ) {
            self.id = id
            self.zone = zone
            self.condition = condition
            self.isSettled = isSettled
            self.isDraining = isDraining
        }
    }

    /// What the live leader of highest ballot said about a partition.
    public struct Leader: Hashable, Sendable {
        public var epoch: UInt64
        public var isSynced: Bool

        public init(epoch: UInt64, isSynced: Bool) {
            self.epoch = epoch
            self.isSynced = isSynced
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
            /// The leader said that the new members hold everything.
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
    /// Partitions whose move repairs a loss, which its end makes pointless if the lost node comes back. Not kept over a
    /// restart: such a move is then ended like any other.
    private var repairing: Set<Int> = []

    public init(limit: Int = 8) {
        self.limit = max(1, limit)
    }

    /// The next steps, in order of partition within ends, repairs, drains and rebalancing.
    public mutating func plan(_ input: Input) -> [Step] {
        var turn = Turn(input)
        repairing = repairing.filter { $0 < input.partitions.count && input.partitions[$0].isJoint }
        for partition in input.partitions.indices where input.partitions[partition].isJoint {
            turn.endMove(partition, isRepair: repairing.contains(partition))
        }
        if !input.isHalted {
            turn.repairAndDrain(limit: limit)
            turn.rebalance(limit: limit)
        }
        for step in turn.steps where step.kind == .start(.repair) && step.configuration.isJoint {
            repairing.insert(step.partition)
        }
        return turn.steps
    }
}

/// One call of `plan`.
private struct Turn {
    let input: MovePlanner.Input
    private(set) var steps: [MovePlanner.Step] = []
    private var partitions: [Configuration]
    private var isTaken: [Bool]
    private let condition: [NodeID: FailureDetector.Condition]
    private let draining: Set<NodeID>

    init(_ input: MovePlanner.Input) {
        self.input = input
        partitions = input.partitions
        isTaken = Array(repeating: false, count: input.partitions.count)
        condition = Dictionary(input.nodes.map { ($0.id, $0.condition) }) { first, _ in first }
        draining = Set(input.nodes.filter(\.isDraining).map(\.id))
    }

    private var inFlight: Int { partitions.count(where: \.isJoint) }

    private func isLive(_ node: NodeID) -> Bool { condition[node]?.isLive ?? false }
    private func isLost(_ node: NodeID) -> Bool { condition[node] ?? .lost == .lost }

    /// Whether leaders can be elected and writes chosen, in every member set in force.
    private func hasQuorum(_ configuration: Configuration) -> Bool {
        let live = configuration.everyone.filter(isLive)
        return configuration.isQuorum(live) { max(input.policy.writeQuorum(of: $0), input.policy.readQuorum(of: $0)) }
    }

    private mutating func take(_ partition: Int, _ configuration: Configuration, _ kind: MovePlanner.Step.Kind) {
        steps.append(MovePlanner.Step(partition: partition, configuration: configuration, kind: kind))
        partitions[partition] = configuration
        isTaken[partition] = true
    }

    private func placementNodes(settledOnly: Bool) -> [PlacementNode] {
        input.nodes.map { node in
            PlacementNode(
                id: node.id, zone: node.zone, keeps: node.condition != .lost && !node.isDraining,
                accepts: node.condition == .up && !node.isDraining && (node.isSettled || !settledOnly),
                isLive: node.condition.isLive)
        }
    }

    // MARK: Moves under way

    mutating func endMove(_ partition: Int, isRepair: Bool) {
        let configuration = partitions[partition]
        guard let previous = configuration.previous else { return }
        if let leader = input.leaders[partition], leader.epoch == configuration.epoch, leader.isSynced {
            let final = configuration.finishingMove()
            if hasQuorum(final) { take(partition, final, .finish) }
            return
        }
        guard !input.isHalted else { return }
        let isWhole = previous.allSatisfy { isLive($0) && !draining.contains($0) }
        let isBroken = configuration.members.contains(where: isLost)
        if isWhole, isRepair || isBroken, let back = configuration.moving(to: previous) {
            take(partition, back, .revert)
        } else if isBroken {
            retarget(partition, previous: previous)
        }
    }

    /// Members of before who are up come first: they need not copy anything.
    private mutating func retarget(_ partition: Int, previous: [NodeID]) {
        let configuration = partitions[partition]
        let lost = configuration.members.filter(isLost)
        let kept = configuration.members.filter { !isLost($0) }
        let back = previous.filter { isLive($0) && !draining.contains($0) && !kept.contains($0) }
        var sets = partitions.map(\.members)
        sets[partition] = kept + back.prefix(lost.count) + lost.dropFirst(back.count)
        let target = Assignment.repaired(
            sets, nodes: placementNodes(settledOnly: false), replicas: input.policy.replicas)[partition]
        guard Set(target) != Set(configuration.members), let next = configuration.moving(to: target), hasQuorum(next)
        else { return }
        take(partition, next, next.isJoint ? .retarget : .revert)
    }

    // MARK: New moves

    /// The partitions with the fewest live members first.
    mutating func repairAndDrain(limit: Int) {
        let targets = Assignment.repaired(
            partitions.map(\.members), nodes: placementNodes(settledOnly: false), replicas: input.policy.replicas)
        func candidates(_ wanted: MovePlanner.Reason) -> [(live: Int, partition: Int)] {
            partitions.indices.compactMap { partition in
                let now = partitions[partition]
                guard !now.isJoint, !isTaken[partition], Set(targets[partition]) != Set(now.members) else { return nil }
                let isDamaged = now.members.contains(where: isLost) || targets[partition].count > now.members.count
                guard (isDamaged ? .repair : .drain) == wanted else { return nil }
                return (now.members.count(where: isLive), partition)
            }
        }
        for reason in [MovePlanner.Reason.repair, .drain] {
            for (_, partition) in candidates(reason).sorted(by: <) where inFlight < limit {
                guard let next = partitions[partition].moving(to: targets[partition]), hasQuorum(next) else { continue }
                take(partition, next, .start(reason))
            }
        }
    }

    /// Evens out in calm times only: everybody is up, and every partition is led under its newest configuration.
    mutating func rebalance(limit: Int) {
        guard steps.isEmpty, inFlight < limit,
            partitions.allSatisfy({ $0.everyone.allSatisfy { isLive($0) } }),
            partitions.indices.allSatisfy({ input.leaders[$0]?.epoch == partitions[$0].epoch })
        else { return }
        let nodes = placementNodes(settledOnly: true)
        let sets = partitions.map(\.members)
        // Someone who settles within seconds would change the target: wait.
        guard input.nodes.allSatisfy({ $0.isSettled || !$0.condition.isLive }),
            sets.allSatisfy({ set in set.allSatisfy { !draining.contains($0) } }), !isFirstMap(sets, nodes)
        else { return }
        let targets = Assignment.balanced(sets, nodes: nodes, replicas: input.policy.replicas)
        var started = inFlight
        for partition in partitions.indices where started < limit && targets[partition] != sets[partition] {
            let now = partitions[partition]
            guard !now.isJoint, let next = now.moving(to: targets[partition]), next.everyone.allSatisfy(isLive)
            else { continue }
            take(partition, next, .start(.rebalance))
            started += 1
        }
    }

    /// The first map is left as it is, although its numbers may differ by more than one where the number of partitions
    /// is no multiple of the number of nodes.
    private func isFirstMap(_ sets: [[NodeID]], _ nodes: [PlacementNode]) -> Bool {
        let taking = nodes.filter(\.accepts)
        return sets == Assignment.initial(nodes: taking, partitions: sets.count, replicas: input.policy.replicas)
    }
}
