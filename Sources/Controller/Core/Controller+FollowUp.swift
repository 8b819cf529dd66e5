import KVPlacement
import KVProtocols
import Logging

extension Controller {
    /// Notices what came to its end.
    func followUp(now: Int) {
        guard let map = clusterMap else { return }
        endRepairs(map, now: now)
        endRebalance(map, now: now)
        endDrains(map, now: now)
        tellProgress(map, now: now)
        forgetFormer(map)
        speed.keep { partition, entry in
            let index = Int(partition.rawValue)
            return index < map.partitions.count && entry.epoch == map.partitions[index].epoch
                && (map.partitions[index].isJoint || now - entry.latestAt < 2 * settings.heartbeatMilliseconds)
        }
    }

    private func endRepairs(_ map: ClusterMap, now: Int) {
        for repair in state.work where repair.kind == .repair {
            let held = map.partitions.count { $0.contains(repair.node) }
            let isUnderWay = map.partitions.contains(where: repair.includes)
            let took = Controller.seconds(now - repair.startedAt)
            if held == 0 {
                record(
                    .rereplicationFinished, .info,
                    "\(Controller.partitions(repair.partitions)) of \(repair.name) "
                        + "\(repair.partitions == 1 ? "has" : "have") all replicas again after \(took)",
                    node: repair.name, end(repair, partitions: repair.partitions, now: now))
            } else if detector.isLive(repair.node), reports[repair.node] != nil, !isUnderWay {
                record(
                    .rereplicationFinished, .info,
                    "\(repair.name) came back after \(took) and keeps \(held) of its "
                        + Controller.partitions(repair.partitions),
                    node: repair.name, end(repair, partitions: max(0, repair.partitions - held), now: now))
            }
        }
    }

    private func endRebalance(_ map: ClusterMap, now: Int) {
        guard let index = work(.rebalance), idlePlan != nil, !map.partitions.contains(where: \.isJoint) else { return }
        // Between two rounds there is nothing to plan either, but then some leader has not taken note of the last one.
        let leaders = leaders()
        guard map.partitions.indices.allSatisfy({ leaders[$0]?.epoch == map.partitions[$0].epoch }),
            idlePlan == plannerInput(now: now)
        else { return }
        let rebalance = state.work[index]
        record(
            .rebalanceFinished, .info,
            "\(Controller.partitions(rebalance.partitions)) changed, in "
                + Controller.seconds(now - rebalance.startedAt),
            end(rebalance, partitions: rebalance.partitions, now: now))
    }

    private func endDrains(_ map: ClusterMap, now: Int) {
        for record in state.members where record.isDraining && !(record.isDrained && !record.isRemoving) {
            guard !map.partitions.contains(where: { $0.contains(record.id) }) else { continue }
            do {
                try endDrain(of: record, now: now)
            } catch {
                logger.debug("The end of a drain waits", metadata: ["reason": "\(error)"])
            }
        }
    }

    private func endDrain(of node: NodeRecord, now: Int) throws(ControllerError) {
        try commit { state, map in
            guard let index = state.nodes.firstIndex(where: { $0.name == node.name }) else { return }
            state.nodes[index].isDrained = true
            guard node.isRemoving else { return }
            state.nodes[index].isRemoved = true
            state.nodes[index].retired.append(node.incarnation)
            map?.nodes.removeAll { $0.id == node.id }
        }
        let work = state.work.first { $0.kind == .drain && $0.node == node.id }
        let figures = work.map { end($0, partitions: $0.partitions, now: now) } ?? ClusterEvent.Figures(partitions: 0)
        if !node.isDrained {
            let took = figures.durationMilliseconds.map { " after \(Controller.seconds($0))" } ?? ""
            record(.nodeDrained, .info, "\(node.name) holds no replicas any more\(took)", node: node.name, figures)
        }
        guard node.isRemoving else { return }
        forget(node.id)
        refusals[node.name] = nil
        record(.nodeRemoved, .info, "\(node.name) is no longer a member of the cluster", node: node.name)
    }

    private func forgetFormer(_ map: ClusterMap) {
        guard !state.former.isEmpty else { return }
        let holders = Set(map.partitions.flatMap(\.everyone))
        let kept = state.former.filter { former in
            holders.contains(former.id) || state.work.contains { $0.node == former.id }
        }
        guard kept.count < state.former.count else { return }
        state.former = kept
        isDirty = true
    }
}
