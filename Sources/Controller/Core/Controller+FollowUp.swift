import KVPlacement
import KVProtocols
import Logging

extension Controller {
    /// Notices what came to its end.
    func followUp(now: Int) {
        guard let map = clusterMap else { return }
        endRepairs(map, now: now)
        endRebalance(map, now: now)
        endDrains(map)
        forgetFormer(map)
    }

    private func endRepairs(_ map: ClusterMap, now: Int) {
        for repair in repairs {
            let held = map.partitions.count { $0.contains(repair.node) }
            let isUnderWay = map.partitions.contains {
                $0.previous?.contains(repair.node) == true && !$0.members.contains(repair.node)
            }
            let took = Controller.seconds(now - repair.startedAt)
            if held == 0 {
                record(
                    .rereplicationFinished, .info,
                    "\(repair.partitions) \(repair.partitions == 1 ? "partition" : "partitions") of \(repair.name) "
                        + "have all replicas again after \(took)", node: repair.name)
            } else if detector.isLive(repair.node), !isUnderWay {
                record(
                    .rereplicationFinished, .info,
                    "\(repair.name) came back after \(took) and keeps \(held) of its \(repair.partitions) partitions",
                    node: repair.name)
            } else {
                continue
            }
            repairs.removeAll { $0 == repair }
        }
    }

    private func endRebalance(_ map: ClusterMap, now: Int) {
        guard let rebalance, idlePlan != nil, !map.partitions.contains(where: \.isJoint) else { return }
        // Between two rounds there is nothing to plan either, but then some leader has not taken note of the last one.
        let leaders = leaders()
        guard map.partitions.indices.allSatisfy({ leaders[$0]?.epoch == map.partitions[$0].epoch }),
            idlePlan == plannerInput(now: now)
        else { return }
        self.rebalance = nil
        record(
            .rebalanceFinished, .info,
            "\(rebalance.partitions) \(rebalance.partitions == 1 ? "partition" : "partitions") changed, in "
                + Controller.seconds(now - rebalance.startedAt))
    }

    private func endDrains(_ map: ClusterMap) {
        for record in state.members where record.isDraining && !(record.isDrained && !record.isRemoving) {
            guard !map.partitions.contains(where: { $0.contains(record.id) }) else { continue }
            do {
                try endDrain(of: record)
            } catch {
                logger.debug("The end of a drain waits", metadata: ["reason": "\(error)"])
            }
        }
    }

    private func endDrain(of node: NodeRecord) throws(ControllerError) {
        try commit { state, map in
            guard let index = state.nodes.firstIndex(where: { $0.name == node.name }) else { return }
            state.nodes[index].isDrained = true
            guard node.isRemoving else { return }
            state.nodes[index].isRemoved = true
            state.nodes[index].retired.append(node.incarnation)
            map?.nodes.removeAll { $0.id == node.id }
        }
        if !node.isDrained {
            record(.nodeDrained, .info, "\(node.name) holds no replicas any more", node: node.name)
        }
        guard node.isRemoving else { return }
        detector.forget(node.id)
        reports[node.id] = nil
        refusals[node.name] = nil
        record(.nodeRemoved, .info, "\(node.name) is no longer a member of the cluster", node: node.name)
    }

    private func forgetFormer(_ map: ClusterMap) {
        guard !state.former.isEmpty else { return }
        let holders = Set(map.partitions.flatMap(\.everyone))
        let kept = state.former.filter { former in
            holders.contains(former.id) || repairs.contains { $0.node == former.id }
        }
        guard kept.count < state.former.count else { return }
        state.former = kept
        isDirty = true
    }
}
