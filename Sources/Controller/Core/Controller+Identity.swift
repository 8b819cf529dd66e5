import KVPlacement
import KVProtocols
import Logging

extension Controller {
    /// Says no, and tells people once per reason.
    func refuse(_ heartbeat: Heartbeat, _ reason: String) -> HeartbeatReply {
        let isOurs = settings.nodes.contains(heartbeat.name) || state.record(heartbeat.name) != nil
        if isOurs, refusals[heartbeat.name] != reason {
            refusals[heartbeat.name] = reason
            record(.alarmRaised, .error, "\(heartbeat.name) is refused: \(reason)", node: heartbeat.name)
        } else if !isOurs {
            logger.debug("Refused a heartbeat", metadata: ["reason": "\(reason)"])
        }
        return HeartbeatReply(verdict: .refused, reason: reason, cluster: state.cluster, node: NodeID(0))
    }

    /// Offers a number that was never given before; the same one again to a process that asks again.
    func offer(_ heartbeat: Heartbeat, _ reason: String) throws(ControllerError) -> HeartbeatReply {
        let name = heartbeat.name
        let id: NodeID
        if let offer = offers[name], offer.incarnation == heartbeat.incarnation, offer.boot == heartbeat.boot {
            id = offer.id
        } else {
            id = NodeID(state.nextNode)
            try commit { state, _ in state.nextNode += 1 }
            offers[name] = Offer(id: id, incarnation: heartbeat.incarnation, boot: heartbeat.boot)
        }
        return HeartbeatReply(verdict: .newIdentity, reason: reason, cluster: state.cluster, node: id)
    }

    /// Makes a node that took its new identity a member. What it was before is lost from now on.
    func adopt(_ heartbeat: Heartbeat, id: NodeID, now: Int) throws(ControllerError) {
        let old = state.record(heartbeat.name)
        var record = NodeRecord(heartbeat, id: id)
        if let old {
            record.retired = old.retired
            if old.incarnation != record.incarnation { record.retired.append(old.incarnation) }
            record.retired.removeFirst(max(0, record.retired.count - NodeRecord.maximumRetired))
            record.isDraining = old.isDraining && !old.isRemoved
            record.isRemoving = old.isRemoving && !old.isRemoved
        }
        try commit { [record] state, map in
            state.nodes.removeAll { $0.name == record.name }
            state.nodes.append(record)
            if let old, map?.partitions.contains(where: { $0.contains(old.id) }) == true {
                state.former.append(FormerNode(id: old.id, name: old.name))
            }
            // What was being emptied is lost now.
            if let old { state.lose(old.id) }
            map?.nodes.removeAll { $0.id == old?.id }
            map?.nodes.append(record.info)
            map?.nodes.sort { $0.id < $1.id }
        }
        offers[record.name] = nil
        contenders[record.name] = nil
        if let old, !old.isRemoved {
            let former = reports[old.id]?.backend ?? heartbeat.backend
            let exchange =
                former == heartbeat.backend ? "" : " and the backend \(heartbeat.backend) instead of \(former)"
            forget(old.id)
            self.record(
                .nodeReplaced, .warning,
                "\(record.name) came back with another data folder\(exchange): it starts empty as member \(id), the replicas of "
                    + "member \(old.id) are lost", node: record.name,
                ClusterEvent.Figures(partitions: holding(old.id)))
        } else {
            self.record(
                .nodeJoined, .info, "\(record.name) at \(record.address) joined as member \(id)", node: record.name)
        }
        hear(heartbeat, now: now)
    }

    /// Takes note of a member's heartbeat.
    func welcome(_ heartbeat: Heartbeat, now: Int) throws(ControllerError) {
        guard let index = state.nodes.firstIndex(where: { $0.name == heartbeat.name }) else { return }
        offers[heartbeat.name] = nil
        let old = state.nodes[index]
        var new = old
        new.boot = max(old.boot, heartbeat.boot)
        new.durable = max(old.durable, heartbeat.durable)
        new.address = heartbeat.address
        new.peerAddress = heartbeat.peerAddress
        new.zone = heartbeat.zone
        new.weight = heartbeat.weight
        if new.info != old.info, !isRolledBack {
            try commit { [new] state, map in
                state.nodes[index] = new
                guard let position = map?.nodes.firstIndex(where: { $0.id == new.id }) else { return }
                map?.nodes[position] = new.info
            }
            if new.boot > old.boot, detector.isLive(new.id) {
                record(.nodeUp, .info, "\(new.name) was started again (boot \(new.boot))", node: new.name)
            }
        } else if new != old {
            state.nodes[index] = new
            isDirty = true
        }
        hear(heartbeat, now: now)
    }

    private func hear(_ heartbeat: Heartbeat, now: Int) {
        // Before a change is noted: its message may quote the reasons.
        reports[heartbeat.node] = heartbeat
        noteDegradation(heartbeat, now: now)
        for leading in heartbeat.leading { speed.heard(leading, now: now) }
        if let change = detector.heard(heartbeat.node, healthy: heartbeat.health.ok, now: now) { note(change) }
    }

    /// A node that is up and says what limits it, such as a full disk. It keeps its replicas, because copies elsewhere
    /// would fill disks that may be as full, and gets no more.
    func isDegraded(_ node: NodeID) -> Bool {
        guard let health = reports[node]?.health else { return false }
        return health.ok && !health.reasons.isEmpty
    }

    /// Tells people, once until it was over for a while: a disk at its limit is full one moment and not the next.
    private func noteDegradation(_ heartbeat: Heartbeat, now: Int) {
        let (node, name) = (heartbeat.node, heartbeat.name)
        if isDegraded(node) {
            if degraded.updateValue(now, forKey: node) == nil {
                record(
                    .alarmRaised, .warning,
                    "\(name) is degraded: \(heartbeat.health.reasons.joined(separator: "; ")). It keeps its replicas and "
                        + "is given no more", node: name, ClusterEvent.Figures(partitions: holding(node)))
            }
        } else if let last = degraded[node], !heartbeat.health.ok || now - last >= settings.failAfterMilliseconds {
            degraded[node] = nil
            // A failure is told of as one.
            if heartbeat.health.ok { record(.alarmCleared, .info, "\(name) is no longer degraded", node: name) }
        }
    }

    /// Drops what is known of a node that is no member any more.
    func forget(_ node: NodeID) {
        detector.forget(node)
        reports[node] = nil
        degraded[node] = nil
    }

    /// Tells people what the failure detector noticed.
    func note(_ change: FailureDetector.Change) {
        switch change {
        case .failed(let node, let silentFor, let isFailing):
            let name = name(of: node)
            let reasons = reports[node]?.health.reasons.joined(separator: "; ") ?? ""
            record(
                .failureDetected, .warning,
                (isFailing
                    ? "\(name) can't make writes durable\(reasons.isEmpty ? "" : ": " + reasons)"
                    : "\(name) has sent no heartbeat for \(Controller.seconds(silentFor))")
                    + "; it holds \(Controller.partitions(holding(node)))",
                node: name, ClusterEvent.Figures(partitions: holding(node), durationMilliseconds: silentFor))
        case .returned(let node, let downFor):
            let name = name(of: node)
            record(
                .nodeReturned, .info,
                "\(name) is back after \(Controller.seconds(downFor)) and holds \(Controller.partitions(holding(node)))",
                node: name, ClusterEvent.Figures(partitions: holding(node), durationMilliseconds: downFor))
        case .replaceDue(let node):
            logger.debug("Replicas are due to be replaced", metadata: ["kv.node": "\(name(of: node))"])
        }
    }
}
