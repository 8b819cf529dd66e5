import KVPlacement
import KVProtocols

extension Controller {
    /// All members, and the configured nodes that are none yet; problems first, then by name. O(partitions).
    public func nodes() -> NodesAnswer {
        let leading = leadingCounts()
        var answers = state.members.map { answer(for: $0, leading: leading) }
        for name in settings.nodes where !answers.contains(where: { $0.name == name }) {
            guard state.record(name)?.isRemoved != true || refusals[name] != nil else { continue }
            answers.append(waiting(name))
        }
        answers.sort { ($0.state.rank, $0.name) < ($1.state.rank, $1.name) }
        return NodesAnswer(nodes: answers)
    }

    /// One node with its partitions.
    /// - Throws: `ControllerError.unknownNode`.
    public func node(_ name: String) throws(ControllerError) -> NodeAnswer {
        guard let record = state.members.first(where: { $0.name == name }) else {
            guard settings.nodes.contains(name), state.record(name) == nil else {
                throw ControllerError(.unknownNode, "The cluster has no node named \(name).")
            }
            var answer = waiting(name)
            answer.partitions = []
            return answer
        }
        var answer = answer(for: record, leading: leadingCounts())
        answer.partitions =
            clusterMap?.partitions.enumerated().filter { $0.element.contains(record.id) }.map(\.offset) ?? []
        return answer
    }

    private func leadingCounts() -> [NodeID: Int] {
        leaders().reduce(into: [:]) { counts, leader in
            if let leader { counts[leader.node, default: 0] += 1 }
        }
    }

    private func waiting(_ name: String) -> NodeAnswer {
        NodeAnswer(
            name: name, id: NodeID(0), state: refusals[name] == nil ? .waiting : .failed,
            reasons: [refusals[name] ?? "It is in the configuration and has not been heard of yet."], address: "",
            peerAddress: "", zone: "", weight: PlacementNode.standardWeight, backend: "", keys: 0, bytesOnDisk: 0,
            replicas: 0, leading: 0,
            lastHeartbeatMillisecondsAgo: nil, incarnation: "0", boot: 0, version: "", partitions: nil)
    }

    private func answer(for record: NodeRecord, leading: [NodeID: Int]) -> NodeAnswer {
        let report = reports[record.id]
        let status = detector.status(of: record.id)
        let replicas = clusterMap?.partitions.count { $0.contains(record.id) } ?? 0
        let silent = max(0, clock.monotonic() - (status?.lastHeard ?? startedAt))
        var reasons = report?.health.reasons ?? []
        let state: NodeAnswer.State
        switch status?.condition ?? .down {
        case .down, .lost:
            state = status?.isFailing == true || refusals[record.name] != nil ? .failed : .down
            if state == .down { reasons = ["It has sent no heartbeat for \(Controller.seconds(silent))."] }
        case .suspect:
            state = .suspect
            reasons.append("It has sent no heartbeat for \(Controller.seconds(silent)).")
        case .up where isDegraded(record.id):
            state = .degraded
        case .up where record.isDraining:
            state = .draining
        case .up:
            state = clusterMap != nil && replicas == 0 ? .joining : .up
        }
        if record.isDraining, status?.condition == .up {
            reasons.append(
                replicas == 0
                    ? "It holds no replicas any more." : "\(replicas) replicas are still to be moved away.")
        }
        if let refusal = refusals[record.name] { reasons.insert(refusal, at: 0) }
        return NodeAnswer(
            name: record.name, id: record.id, state: state, reasons: reasons, address: record.address,
            peerAddress: record.peerAddress, zone: record.zone,
            weight: record.weight ?? PlacementNode.standardWeight, backend: report?.backend ?? "",
            keys: report?.keys ?? 0, bytesOnDisk: report?.bytesOnDisk ?? 0, replicas: replicas,
            leading: leading[record.id] ?? 0, lastHeartbeatMillisecondsAgo: report == nil ? nil : silent,
            incarnation: String(record.incarnation, radix: 16), boot: record.boot, version: report?.version ?? "",
            partitions: nil)
    }
}
