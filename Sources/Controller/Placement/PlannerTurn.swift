import KVProtocols

/// One call of `plan`.
struct PlannerTurn {
    let input: MovePlanner.Input
    private(set) var steps: [MovePlanner.Step] = []
    private var partitions: [Configuration]
    private var isTaken: [Bool]
    private let condition: [NodeID: FailureDetector.Condition]
    private let draining: Set<NodeID>

    private let limit: Int
    private let limitPerNode: Int
    private var inFlight = 0
    /// In how many moves under way a node receives a copy, or sends them.
    private var receiving: [NodeID: Int] = [:]
    private var sending: [NodeID: Int] = [:]

    init(_ input: MovePlanner.Input, limit: Int, limitPerNode: Int) {
        self.input = input
        self.limit = limit
        self.limitPerNode = limitPerNode
        partitions = input.partitions
        isTaken = Array(repeating: false, count: input.partitions.count)
        condition = Dictionary(input.nodes.map { ($0.id, $0.condition) }) { first, _ in first }
        draining = Set(input.nodes.filter(\.isDraining).map(\.id))
        for partition in partitions.indices { count(partition, by: 1) }
    }

    /// Adds or takes away what the partition's move costs.
    private mutating func count(_ partition: Int, by change: Int) {
        let configuration = partitions[partition]
        guard configuration.isJoint else { return }
        inFlight += change
        for node in PlannerTurn.newcomers(of: configuration) { receiving[node, default: 0] += change }
        if let leader = input.leaders[partition]?.node { sending[leader, default: 0] += change }
    }

    private static func newcomers(of configuration: Configuration) -> [NodeID] {
        guard let previous = configuration.previous else { return [] }
        return configuration.members.filter { !previous.contains($0) }
    }

    /// Whether the limits let this move begin. What copies nothing is no burden to a node.
    private func hasRoom(_ partition: Int, for next: Configuration) -> Bool {
        guard next.isJoint else { return true }
        let newcomers = PlannerTurn.newcomers(of: next)
        guard inFlight < limit, newcomers.allSatisfy({ receiving[$0, default: 0] < limitPerNode }) else { return false }
        guard !newcomers.isEmpty, let leader = input.leaders[partition]?.node else { return true }
        return sending[leader, default: 0] < limitPerNode
    }

    private func isLive(_ node: NodeID) -> Bool { condition[node]?.isLive ?? false }
    private func isLost(_ node: NodeID) -> Bool { condition[node] ?? .lost == .lost }

    /// Whether leaders can be elected and writes chosen, in every member set in force.
    private func hasQuorum(_ configuration: Configuration) -> Bool {
        let live = configuration.everyone.filter(isLive)
        return configuration.isQuorum(live) { max(input.policy.writeQuorum(of: $0), input.policy.readQuorum(of: $0)) }
    }

    private mutating func take(_ partition: Int, _ configuration: Configuration, _ kind: MovePlanner.Step.Kind) {
        steps.append(MovePlanner.Step(partition: partition, configuration: configuration, kind: kind))
        count(partition, by: -1)
        partitions[partition] = configuration
        count(partition, by: 1)
        isTaken[partition] = true
    }

    private func placementNodes(settledOnly: Bool) -> [PlacementNode] {
        input.nodes.map { node in
            PlacementNode(
                id: node.id, zone: node.zone, keeps: node.condition != .lost && !node.isDraining,
                accepts: node.condition == .up && !node.isDraining && (node.isSettled || !settledOnly),
                isLive: node.condition.isLive, weight: node.weight)
        }
    }

    // MARK: Moves under way

    mutating func endMove(_ partition: Int, isRepair: Bool) {
        let configuration = partitions[partition]
        guard let previous = configuration.previous else { return }
        if let leader = input.leaders[partition], leader.epoch == configuration.epoch, leader.isSynced,
            !isAwaited(configuration, leader)
        {
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

    /// Whether a new member that is up is still being filled. A quorum without it is enough for the move to end, but until it
    /// is full a member that leaves is worth having, and the copying belongs to what the limits bound. One that has no room, or that
    /// the controller doesn't hear, is not waited for.
    private func isAwaited(_ configuration: Configuration, _ leader: MovePlanner.Leader) -> Bool {
        PlannerTurn.newcomers(of: configuration).contains { condition[$0] == .up && leader.lagging.contains($0) }
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
    /// - Returns: how many partitions must wait.
    mutating func repairAndDrain() -> Int {
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
        var waiting = 0
        for reason in [MovePlanner.Reason.repair, .drain] {
            for (_, partition) in candidates(reason).sorted(by: <) {
                guard !input.isHalted, let next = partitions[partition].moving(to: targets[partition]),
                    hasQuorum(next), hasRoom(partition, for: next)
                else {
                    waiting += 1
                    continue
                }
                take(partition, next, .start(reason))
            }
        }
        return waiting
    }

    /// Evens out in calm times only: everybody is up, and every partition is led under its newest configuration.
    /// - Returns: how many partitions must wait: 0 when it is no time for it, `nil` when all moves that may be under way
    ///   are, so that it was not looked at.
    mutating func rebalance() -> Int? {
        guard inFlight < limit else { return nil }
        guard steps.isEmpty, partitions.allSatisfy({ $0.everyone.allSatisfy { isLive($0) } }),
            partitions.indices.allSatisfy({ input.leaders[$0]?.epoch == partitions[$0].epoch })
        else { return 0 }
        let nodes = placementNodes(settledOnly: true)
        let sets = partitions.map(\.members)
        // Someone who settles within seconds would change the target: wait.
        guard input.nodes.allSatisfy({ $0.isSettled || !$0.condition.isLive }),
            sets.allSatisfy({ set in set.allSatisfy { !draining.contains($0) } }), !isFirstMap(sets, nodes)
        else { return 0 }
        let targets = Assignment.balanced(sets, nodes: nodes, replicas: input.policy.replicas)
        var started = inFlight
        var waiting = 0
        for partition in partitions.indices where targets[partition] != sets[partition] {
            let now = partitions[partition]
            guard !now.isJoint, started < limit, let next = now.moving(to: targets[partition]),
                next.everyone.allSatisfy(isLive), hasRoom(partition, for: next)
            else {
                waiting += 1
                continue
            }
            take(partition, next, .start(.rebalance))
            started += 1
        }
        return waiting
    }

    /// The first map is left as it is, although its numbers may differ by more than one where the number of partitions
    /// is no multiple of the number of nodes.
    private func isFirstMap(_ sets: [[NodeID]], _ nodes: [PlacementNode]) -> Bool {
        let taking = nodes.filter(\.accepts)
        return sets == Assignment.initial(nodes: taking, partitions: sets.count, replicas: input.policy.replicas)
    }
}
