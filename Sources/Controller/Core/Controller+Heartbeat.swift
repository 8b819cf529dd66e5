import KVPlacement
public import KVProtocols

extension Controller {
    /// Takes note of a node and tells it who it is and, when newer than what it knows, the map.
    ///
    /// A new identity is only an offer: it counts once the node has sent a heartbeat under it, so that a request that
    /// arrives late, from a process long gone, changes nothing. Blocks on the backend when an identity or an address
    /// is new.
    /// - Throws: `ControllerError`: `.notReady` when it must first be seen which of two processes is the node, or
    ///   `.unavailable`; the node goes on as if the controller were down, and asks again.
    public func heartbeat(_ heartbeat: Heartbeat) throws(ControllerError) -> HeartbeatReply {
        if let reason = foreignness(of: heartbeat) { return refuse(heartbeat, reason) }
        noteRollback(heartbeat)
        let now = clock.monotonic()
        firstContact = firstContact ?? now
        switch try judge(heartbeat, now: now) {
        case .known: try welcome(heartbeat, now: now)
        case .accepted(let id): try adopt(heartbeat, id: id, now: now)
        case .new(let reason): return try offer(heartbeat, reason)
        case .refused(let reason): return refuse(heartbeat, reason)
        }
        if refusals.removeValue(forKey: heartbeat.name) != nil {
            record(.alarmCleared, .info, "\(heartbeat.name) is no longer refused", node: heartbeat.name)
        }
        let newer = isRolledBack ? nil : clusterMap.flatMap { $0.epoch > heartbeat.mapEpoch ? $0 : nil }
        return HeartbeatReply(
            verdict: .welcome, cluster: state.cluster, node: heartbeat.node, map: newer,
            nextMilliseconds: isMoving ? Controller.movingHeartbeatMilliseconds : nil)
    }

    /// While partitions move, each of their steps waits for a heartbeat: with small partitions that is most of the time
    /// that a move takes.
    private static let movingHeartbeatMilliseconds = 100

    /// O(partitions).
    private var isMoving: Bool { clusterMap?.partitions.contains { $0.isJoint } ?? false }

    // MARK: Judging

    private enum Judgement {
        /// The member of that name.
        case known
        /// It has taken the identity that was offered to it.
        case accepted(NodeID)
        case new(String)
        case refused(String)
    }

    private func foreignness(of heartbeat: Heartbeat) -> String? {
        let name = heartbeat.name
        guard !name.isEmpty, name.utf8.count <= 255, !heartbeat.address.isEmpty else {
            return "A node needs a name of 1 to 255 bytes and an address."
        }
        guard settings.nodes.isEmpty || settings.nodes.contains(name) else {
            return
                "The controller's configuration has no node named \(name). Add it there and start the controller again."
        }
        guard state.record(name) != nil || state.nodes.count < ControllerSettings.maximumNodes else {
            return "The cluster has \(ControllerSettings.maximumNodes) nodes already, which is the limit."
        }
        guard heartbeat.cluster == 0 || heartbeat.cluster == state.cluster else {
            return "The data folder of \(name) belongs to another cluster (\(heartbeat.cluster), this one is "
                + "\(state.cluster)). Give the node its own folder, or give the controller back its own."
        }
        return nil
    }

    private func judge(_ heartbeat: Heartbeat, now: Int) throws(ControllerError) -> Judgement {
        let name = heartbeat.name
        if let offer = offers[name], heartbeat.node == offer.id, heartbeat.cluster == state.cluster,
            heartbeat.incarnation == offer.incarnation
        {
            return .accepted(offer.id)
        }
        guard let known = state.record(name) else { return .new("it is new") }
        if known.isRemoved, known.incarnation == heartbeat.incarnation {
            return .refused(
                "\(name) was removed from the cluster. Stop it; to let it join anew, empty its data folder first.")
        }
        if known.retired.contains(heartbeat.incarnation) {
            return .refused(
                "This data folder was \(name) once and has been replaced since. Empty it to let the node join anew."
            )
        }
        if known.isRemoved { return .new("it is new") }
        if try isContested(known, by: heartbeat, now: now) {
            return .refused("Two processes run as \(name), the other one at \(known.address). Stop one of them.")
        }
        guard let reason = whyNot(known, heartbeat) else { return .known }
        if let partition = partitionInDanger(without: known.id) {
            return .refused(
                "\(name) is not what it was: \(reason). As a new member it would drop its replicas, and "
                    + "partition \(partition) has no read quorum without them. Put the right folder back, or bring "
                    + "other nodes up."
            )
        }
        return .new(reason)
    }

    /// Why a process that claims the name can't be the member; `nil` when it is.
    private func whyNot(_ known: NodeRecord, _ heartbeat: Heartbeat) -> String? {
        if heartbeat.incarnation != known.incarnation { return "its data folder was emptied or swapped" }
        if heartbeat.node != known.id { return "its data folder is of a time before it became member \(known.id)" }
        if heartbeat.boot < known.boot {
            return "its data folder was rolled back to boot \(heartbeat.boot) of \(known.boot)"
        }
        if heartbeat.durable < known.durable {
            return "its data folder was rolled back to position \(heartbeat.durable) of \(known.durable)"
        }
        return nil
    }

    /// Whether a process that can't follow from the name's owner came while the owner goes on.
    /// - Throws: `.notReady` while that is not clear: the owner was heard of a moment ago, but not since.
    private func isContested(_ known: NodeRecord, by heartbeat: Heartbeat, now: Int) throws(ControllerError) -> Bool {
        let isOwner = heartbeat.boot == known.boot && heartbeat.address == known.address
        guard heartbeat.incarnation != known.incarnation || heartbeat.boot <= known.boot && !isOwner else {
            return false
        }
        guard reports[known.id] != nil, let lastHeard = detector.status(of: known.id)?.lastHeard,
            now - lastHeard < 3 * settings.heartbeatMilliseconds
        else {
            contenders[known.name] = nil
            return false
        }
        var contender = Contender(
            incarnation: heartbeat.incarnation, boot: heartbeat.boot, address: heartbeat.address, since: now)
        if let earlier = contenders[known.name] {
            contender.since = earlier.since
            if contender == earlier, lastHeard > earlier.since { return true }
            contender.since = contender == earlier ? earlier.since : now
        }
        contenders[known.name] = contender
        throw ControllerError(.notReady, "Another process was \(known.name) a moment ago; ask again.")
    }

    /// A partition that would lack a read quorum of live members without this node.
    private func partitionInDanger(without node: NodeID) -> Int? {
        guard let map = clusterMap else { return nil }
        return map.partitions.indices.first { partition in
            let configuration = map.partitions[partition]
            guard configuration.contains(node) else { return false }
            let others = configuration.everyone.filter { $0 != node && detector.isLive($0) }
            return !configuration.isQuorum(others, size: map.policy.readQuorum)
        }
    }

    private func noteRollback(_ heartbeat: Heartbeat) {
        guard heartbeat.cluster == state.cluster, heartbeat.mapEpoch > clusterMap?.epoch ?? 0, !isRolledBack else {
            return
        }
        isRolledBack = true
        record(
            .alarmRaised, .error,
            "\(heartbeat.name) knows map \(heartbeat.mapEpoch), the controller's folder only "
                + "\(clusterMap?.epoch ?? 0): the folder is an old copy. Put the newest "
                + "one back; until then nothing is repaired"
        )
    }
}
