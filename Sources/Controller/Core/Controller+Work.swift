import KVPlacement
import KVProtocols

/// Moves that belong together: when they begin, how far they are, when they end.
extension Controller {
    func work(_ kind: Work.Kind, of node: NodeID = NodeID(0)) -> Int? {
        state.work.firstIndex { $0.kind == kind && $0.node == node }
    }

    /// Takes note of published steps, after `before`.
    func followWork(_ steps: [MovePlanner.Step], before: [Configuration], now: Int) {
        let leaders = steps.contains { $0.kind == .finish } ? leaders() : []
        for step in steps {
            let old = before[step.partition]
            switch step.kind {
            case .start(.repair), .retarget:
                let gone = old.members.filter { !step.configuration.members.contains($0) }
                if gone.isEmpty { countRebalanced(now: now) }
                for node in gone where !detector.isLive(node) && work(.repair, of: node) == nil {
                    beginRepair(of: node, before: before, now: now)
                }
            case .start(.rebalance):
                countRebalanced(now: now)
            case .finish:
                countCopied(step.partition, under: old, leader: leaders[step.partition]?.node)
            case .start(.drain), .revert:
                break
            }
        }
        isDirty = isDirty || !steps.isEmpty
    }

    private func beginRepair(of node: NodeID, before: [Configuration], now: Int) {
        let count = before.count { $0.members.contains(node) }
        let name = name(of: node)
        state.work.append(Work(.repair, node: node, name: name, partitions: count, now: now, wall: clock.wall()))
        record(
            .rereplicationStarted, .warning,
            "\(Controller.partitions(count)) of \(name) \(count == 1 ? "gets" : "get") a new replica on other nodes",
            node: name, ClusterEvent.Figures(partitions: count))
    }

    private func countRebalanced(now: Int) {
        if work(.rebalance) == nil {
            state.work.append(Work(.rebalance, partitions: 0, now: now, wall: clock.wall()))
            let count = max(1, planner.waiting)
            record(
                .rebalanceStarted, .info, "Replicas and leaders are being spread evenly over the nodes",
                ClusterEvent.Figures(partitions: count))
        }
        if let index = work(.rebalance) { state.work[index].partitions += 1 }
    }

    private func countCopied(_ partition: Int, under configuration: Configuration, leader: NodeID?) {
        let isCopy = configuration.members.contains { configuration.previous?.contains($0) == false }
        let heard = speed.end(PartitionID(UInt16(partition)), epoch: configuration.epoch)
        // A move between two heartbeats is counted as the leader's mean partition.
        guard let progress = heard ?? (isCopy ? leader.flatMap(meanPartition) : nil) else { return }
        // Rebalancing includes any move, so that it counts only those that belong to nothing else.
        let owners = state.work.indices.filter { state.work[$0].includes(configuration) }
        let own = owners.filter { state.work[$0].kind != .rebalance }
        for index in own.isEmpty ? owners : own {
            // Wrapping: what nodes say of themselves is for people, and must not stop the controller.
            state.work[index].keys &+= progress.keys &+ progress.keysLeft
            state.work[index].bytes &+= progress.bytes &+ progress.bytesLeft
        }
    }

    private func meanPartition(of node: NodeID) -> Heartbeat.Progress? {
        guard let report = reports[node] else { return nil }
        let held = UInt64(max(1, holding(node)))
        return Heartbeat.Progress(
            keys: report.keys / held, keysLeft: 0, bytes: report.bytesOnDisk / held, bytesLeft: 0)
    }

    /// How many of its partitions have not moved yet.
    func partitionsLeft(_ work: Work, _ map: ClusterMap) -> Int {
        switch work.kind {
        case .repair, .drain: map.partitions.count { $0.contains(work.node) }
        case .rebalance: map.partitions.count(where: \.isJoint) + planner.waiting
        }
    }

    /// What `GET /partitions` and `/stream` say about it.
    func answer(_ work: Work, _ map: ClusterMap, now: Int) -> WorkAnswer {
        let left = partitionsLeft(work, map)
        let total = max(left, work.kind == .rebalance ? work.partitions + planner.waiting : work.partitions)
        var (keys, bytes) = (work.keys, work.bytes)
        var done = Double(total - left)
        for (index, configuration) in map.partitions.enumerated() where work.includes(configuration) {
            guard let entry = speed.entries[PartitionID(UInt16(index))], entry.epoch == configuration.epoch else {
                continue
            }
            keys &+= entry.latest.keys
            bytes &+= entry.latest.bytes
            let all = entry.latest.keys &+ entry.latest.keysLeft
            if all > 0 { done += Double(entry.latest.keys) / Double(all) }
        }
        let elapsed = max(0, now - work.startedAt)
        let rest = max(0, Double(total) - done)
        let estimate = done > 0 ? rest * Double(elapsed) / done : .infinity
        return WorkAnswer(
            kind: work.kind.rawValue, node: work.name.isEmpty ? nil : work.name, partitions: total,
            partitionsLeft: left, keys: keys, bytes: bytes, runningMilliseconds: elapsed,
            millisecondsLeft: estimate < 1e12 ? Int(estimate) : nil)
    }

    /// Tells people now and then about what takes long.
    func tellProgress(_ map: ClusterMap, now: Int) {
        for index in state.work.indices where now >= state.work[index].tellAt {
            let work = state.work[index]
            state.work[index].tellAfter = min(work.tellAfter * 2, 24 * 3_600_000)
            state.work[index].tellAt = now + state.work[index].tellAfter
            isDirty = true
            let progress = answer(work, map, now: now)
            let done = progress.partitions - progress.partitionsLeft
            let what =
                switch work.kind {
                case .repair: "Re-replication of \(work.name)"
                case .drain: "Draining \(work.name)"
                case .rebalance: "Rebalancing"
                }
            let rest = progress.millisecondsLeft.map { ", about \(Controller.seconds($0)) left" } ?? ""
            record(
                .moveProgress, .info,
                "\(what): \(done) of \(Controller.partitions(progress.partitions)) done after "
                    + "\(Controller.seconds(progress.runningMilliseconds))\(rest)",
                node: progress.node,
                ClusterEvent.Figures(
                    partitions: done, durationMilliseconds: progress.runningMilliseconds, keys: progress.keys,
                    bytes: progress.bytes))
        }
    }

    /// Ends a piece of work and gives its figures for the event.
    func end(_ work: Work, partitions: Int, now: Int) -> ClusterEvent.Figures {
        state.work.removeAll { $0.kind == work.kind && $0.node == work.node }
        isDirty = true
        return ClusterEvent.Figures(
            partitions: partitions, durationMilliseconds: max(0, now - work.startedAt), keys: work.keys,
            bytes: work.bytes)
    }

    static func partitions(_ count: Int) -> String { "\(count) \(count == 1 ? "partition" : "partitions")" }
}
