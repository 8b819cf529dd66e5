import KVPlacement
import KVProtocols
import Logging

/// Who leads a partition, as the heartbeats of live nodes say.
struct LeaderReport: Hashable, Sendable {
    var node: NodeID
    var ballot: Ballot
    var epoch: UInt64
    var isSynced: Bool
    var lagging: [NodeID]
    var progress: Heartbeat.Progress?
}

extension Controller {
    /// The leader of highest ballot of each partition, from the newest heartbeats of live members. O(partitions).
    func leaders() -> [LeaderReport?] {
        guard let map = clusterMap else { return [] }
        var leaders = [LeaderReport?](repeating: nil, count: map.partitions.count)
        for record in state.members where detector.isLive(record.id) {
            for leading in reports[record.id]?.leading ?? [] {
                let partition = Int(leading.partition.rawValue)
                guard partition < leaders.count, map.partitions[partition].contains(record.id) else { continue }
                if let other = leaders[partition], other.ballot >= leading.ballot { continue }
                leaders[partition] = LeaderReport(
                    node: record.id, ballot: leading.ballot, epoch: leading.epoch, isSynced: leading.synced,
                    lagging: leading.lagging, progress: leading.progress)
            }
        }
        return leaders
    }

    /// Members in the order of the configuration file; names that it lacks follow in order of number.
    var orderedMembers: [NodeRecord] {
        let rank = Dictionary(settings.nodes.enumerated().map { ($1, $0) }) { first, _ in first }
        return state.members.sorted {
            (rank[$0.name] ?? Int.max, $0.id) < (rank[$1.name] ?? Int.max, $1.id)
        }
    }

    // MARK: The first map

    /// Waits for all configured nodes; after a while for as many as a replica set and a majority need.
    func makeFirstMap(now: Int) {
        guard clusterMap == nil, let firstContact, !isRolledBack else { return }
        let present = orderedMembers.filter { detector.isLive($0.id) && !$0.isDraining }
        let isComplete = !settings.nodes.isEmpty && present.count >= settings.nodes.count
        let enough = max(min(settings.policy.replicas, max(1, settings.nodes.count)), settings.nodes.count / 2 + 1)
        let needed = settings.nodes.isEmpty ? settings.policy.replicas : max(settings.policy.replicas, enough)
        let waited = now - max(firstContact, startedAt) >= settings.bootstrapWaitMilliseconds
        guard isComplete || waited && present.count >= needed else { return }
        let nodes = present.map { node in
            PlacementNode(id: node.id, zone: node.zone, weight: node.weight ?? PlacementNode.standardWeight)
        }
        let sets = Assignment.initial(
            nodes: nodes, partitions: settings.partitions, replicas: settings.policy.replicas)
        do {
            try commit { state, map in
                map = ClusterMap(
                    cluster: state.cluster, name: state.name, epoch: 1, policy: settings.policy,
                    nodes: state.members.map(\.info).sorted { $0.id < $1.id },
                    partitions: sets.map { Configuration(initial: $0) })
            }
            record(
                .clusterCreated, .info,
                "Cluster \(state.name) has \(settings.partitions) partitions with "
                    + "\(min(settings.policy.replicas, present.count)) replicas on \(present.count) nodes")
        } catch {
            logger.debug("The first map waits", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: Losses

    func watchForLosses(now: Int) {
        guard let map = clusterMap else { return }
        // Who holds replicas only matters while somebody is down.
        let isAllUp = state.members.allSatisfy { detector.isLive($0.id) }
        let holders = isAllUp ? [] : Set(map.partitions.flatMap(\.everyone))
        var losses: [LossAlarm.Loss] = []
        var total = 0
        for record in state.members {
            let isLive = detector.isLive(record.id)
            guard isLive || holders.contains(record.id) else { continue }
            total += 1
            if !isLive, let status = detector.status(of: record.id) {
                losses.append(LossAlarm.Loss(node: record.id, since: status.since))
            }
        }
        let unheard = Set(state.members.map(\.id).filter { reports[$0] == nil && detector.isLive($0) })
        let change = alarm.step(losses: losses, total: total, unheard: unheard)
        keepAcknowledged()
        switch change {
        case .raised(let nodes):
            alarmedAt = now
            record(
                .alarmRaised, .error,
                "\(nodes.map(name).joined(separator: ", ")) were lost at once, half of the nodes or more: nothing is "
                    + "moved until they are back or a person acknowledges the alarm",
                ClusterEvent.Figures(
                    partitions: map.partitions.count { $0.everyone.contains(where: nodes.contains) }))
        case .cleared:
            let lasted = max(0, now - alarmedAt)
            record(
                .alarmCleared, .info, "Enough nodes are back after \(Controller.seconds(lasted)): moves go on",
                ClusterEvent.Figures(durationMilliseconds: lasted))
        case nil:
            break
        }
    }

    /// So that a restart does not raise an alarm again of which a person knows.
    func keepAcknowledged() {
        guard state.acknowledged != alarm.acknowledged else { return }
        state.acknowledged = alarm.acknowledged
        isDirty = true
    }

    // MARK: Moves

    /// What the planner decides from.
    func plannerInput(now: Int) -> MovePlanner.Input? {
        guard let map = clusterMap else { return nil }
        let nodes = orderedMembers.map { record in
            var condition = detector.status(of: record.id)?.condition ?? .lost
            // Whoever shall go anyway is not waited for.
            if record.isRemoving, !condition.isLive { condition = .lost }
            // After a restart of the controller a node only seems to be up until it was heard of.
            if condition.isLive, reports[record.id] == nil { condition = .down }
            // Whoever has no room keeps what it has and gets nothing, as one that is suspect.
            if condition == .up, isDegraded(record.id) { condition = .suspect }
            return MovePlanner.Node(
                id: record.id, zone: record.zone, condition: condition,
                isSettled: detector.isSettled(record.id, now: now), isDraining: record.isDraining,
                weight: record.weight ?? PlacementNode.standardWeight)
        }
        return MovePlanner.Input(
            partitions: map.partitions, nodes: nodes, policy: map.policy,
            leaders: leaders().map { leader in
                leader.map {
                    MovePlanner.Leader(epoch: $0.epoch, isSynced: $0.isSynced, node: $0.node, lagging: $0.lagging)
                }
            },
            isHalted: alarm.isRaised)
    }

    func planMoves(now: Int) {
        guard !isRolledBack, let input = plannerInput(now: now), input != idlePlan else { return }
        let steps = planner.plan(input)
        guard !steps.isEmpty else {
            idlePlan = input
            return
        }
        do {
            try commit { _, map in
                for step in steps { map?.partitions[step.partition] = step.configuration }
            }
        } catch {
            logger.debug("Moves wait", metadata: ["reason": "\(error)"])
            return
        }
        announce(steps, before: input.partitions, now: now)
    }

    private func announce(_ steps: [MovePlanner.Step], before: [Configuration], now: Int) {
        for step in steps {
            logger.debug(
                "A partition has a new configuration",
                metadata: [
                    "kv.partition": "\(step.partition)", "kv.epoch": "\(step.configuration.epoch)",
                    "kind": "\(step.kind)",
                ])
        }
        followWork(steps, before: before, now: now)
    }
}
