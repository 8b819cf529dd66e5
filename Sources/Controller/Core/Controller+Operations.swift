import KVPlacement
import KVProtocols

extension Controller {
    /// Begins to move all replicas of a node elsewhere; it goes on serving until each has moved. Repeating it is
    /// harmless. The new map is durable when it returns.
    /// - Throws: `ControllerError`: `.unknownNode`, `.conflict` when fewer nodes would remain than a replica set needs,
    ///   `.notReady` before the first map, `.unavailable`.
    public func drain(_ name: String) throws(ControllerError) {
        let node = try member(name)
        guard !node.isDraining else { return }
        try checkOthersSuffice(without: node)
        try setDraining(node, removing: false)
        let held = beginDrain(of: node)
        record(
            .nodeDraining, .info, "The replicas of \(name) are being moved to other nodes", node: name,
            ClusterEvent.Figures(partitions: held))
    }

    /// Lets a draining node keep what it has; replicas come back by rebalancing.
    /// - Throws: `ControllerError`: `.unknownNode`, `.conflict` when the node isn't draining, `.unavailable`.
    public func undrain(_ name: String) throws(ControllerError) {
        let node = try member(name)
        guard node.isDraining else { throw ControllerError(.conflict, "\(name) is not draining.") }
        try commit { state, map in
            guard let index = state.nodes.firstIndex(where: { $0.name == name }) else { return }
            state.nodes[index].isDraining = false
            state.nodes[index].isDrained = false
            state.nodes[index].isRemoving = false
            guard let position = map?.nodes.firstIndex(where: { $0.id == node.id }) else { return }
            map?.nodes[position].isDraining = false
        }
        let held = holding(node.id)
        let work = state.work.first { $0.kind == .drain && $0.node == node.id }
        let figures = work.map { end($0, partitions: max(0, $0.partitions - held), now: clock.monotonic()) }
        record(
            .nodeUndrained, .info, "\(name) may hold replicas again; it kept \(Controller.partitions(held))",
            node: name, figures ?? ClusterEvent.Figures(partitions: 0))
    }

    /// Drains a node, without waiting for it if it is down, and forgets it when it holds nothing. Its data folder
    /// can't join again; an emptied one can.
    /// - Throws: as `drain`.
    public func remove(_ name: String) throws(ControllerError) {
        let node = try member(name)
        guard !node.isRemoving else { return }
        if clusterMap.map({ $0.partitions.contains { $0.contains(node.id) } }) ?? true {
            try checkOthersSuffice(without: node)
        }
        try setDraining(node, removing: true)
        let held = beginDrain(of: node)
        record(
            .nodeDraining, .info, "\(name) leaves the cluster once its replicas are elsewhere", node: name,
            ClusterEvent.Figures(partitions: held))
    }

    /// How many partitions have it among their members, or had before a move that is under way.
    func holding(_ node: NodeID) -> Int { clusterMap?.partitions.count { $0.contains(node) } ?? 0 }

    private func beginDrain(of node: NodeRecord) -> Int {
        let held = holding(node.id)
        if held > 0, work(.drain, of: node.id) == nil {
            state.work.append(
                Work(
                    .drain, node: node.id, name: node.name, partitions: held, now: clock.monotonic(),
                    wall: clock.wall()))
            isDirty = true
        }
        return held
    }

    /// A person says that the nodes that were lost at once don't come back soon: their replicas shall be replaced, as far
    /// as partitions have a quorum left. Until they were up again these nodes raise no alarm, after a restart either.
    /// - Returns: the names of those nodes.
    /// - Throws: `ControllerError.conflict` when there is no such alarm.
    @discardableResult
    public func acknowledgeAlarm() throws(ControllerError) -> [String] {
        let names = alarm.nodes.map(name)
        guard alarm.acknowledge() else {
            throw ControllerError(.conflict, "There is no alarm about lost nodes to acknowledge.")
        }
        keepAcknowledged()
        let lasted = max(0, clock.monotonic() - alarmedAt)
        record(
            .alarmCleared, .warning, "A person acknowledged the alarm: the lost nodes' replicas are replaced",
            ClusterEvent.Figures(durationMilliseconds: lasted))
        return names
    }

    private func member(_ name: String) throws(ControllerError) -> NodeRecord {
        guard let record = state.record(name), !record.isRemoved else {
            throw ControllerError(.unknownNode, "The cluster has no node named \(name).")
        }
        return record
    }

    private func checkOthersSuffice(without node: NodeRecord) throws(ControllerError) {
        guard let map = clusterMap else { throw ControllerError(.notReady, "There is no cluster map yet.") }
        let others = state.members.count {
            $0.id != node.id && !$0.isDraining && detector.isLive($0.id) && !isDegraded($0.id)
        }
        // A cluster that was created with fewer nodes than replicas needs no more than its sets have.
        let needed = max(1, map.partitions.map(\.members.count).max() ?? 1)
        guard others >= needed else {
            throw ControllerError(
                .conflict,
                "Without \(node.name) there would be \(others) nodes that are up and take replicas, and a partition needs \(needed). "
                    + "Add a node or bring one up first.")
        }
    }

    private func setDraining(_ node: NodeRecord, removing: Bool) throws(ControllerError) {
        try commit { state, map in
            guard let index = state.nodes.firstIndex(where: { $0.name == node.name }) else { return }
            state.nodes[index].isDraining = true
            state.nodes[index].isRemoving = removing
            guard let position = map?.nodes.firstIndex(where: { $0.id == node.id }) else { return }
            map?.nodes[position].isDraining = true
        }
    }
}
