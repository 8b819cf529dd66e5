import KVPlacement
import KVProtocols

extension Controller {
    /// The state of the cluster in one word, with reasons. O(partitions).
    public func health() -> HealthAnswer {
        let nodes = nodes().nodes
        let partitions = partitions().summary
        let live = state.members.count { detector.isLive($0.id) }
        let unavailable = partitionsWithoutQuorum()
        var reasons: [String] = []
        if isRolledBack { reasons.append(Controller.rolledBack.message) }
        if let storageFailure { reasons.append("The controller can't store its state: \(storageFailure)") }
        if unavailable > 0 { reasons.append("\(unavailable) partitions have too few live members to serve") }
        if alarm.isRaised {
            let names = alarm.nodes.map(name).joined(separator: ", ")
            reasons.append(
                "\(names) were lost at once: nothing is moved until they are back or the alarm is acknowledged")
        }
        let hasProblem = { (node: NodeAnswer) in
            [.failed, .down, .degraded, .waiting].contains(node.state) || self.refusals[node.name] != nil
        }
        for node in nodes where hasProblem(node) {
            reasons.append("\(node.name) is \(node.state.rawValue)" + (node.reasons.first.map { ": \($0)" } ?? ""))
        }
        if partitions.leaderless > unavailable {
            reasons.append("Partitions without a leader: \(partitions.leaderless)")
        }
        if partitions.underReplicated > 0 {
            reasons.append("\(partitions.underReplicated) partitions have fewer live replicas than they should")
        }
        let verdict: HealthAnswer.Verdict =
            if isRolledBack || unavailable > 0 {
                .failed
            } else if clusterMap == nil {
                .starting
            } else {
                reasons.isEmpty ? .ok : .degraded
            }
        return HealthAnswer(
            workersCount: live, verdict: verdict, reasons: reasons, cluster: state.name,
            mapEpoch: clusterMap?.epoch ?? 0,
            nodes: HealthAnswer.NodeCounts(up: live, down: nodes.count - live, total: nodes.count),
            partitions: partitions, alarm: alarm.isRaised ? alarm.nodes.map(name) : nil,
            storable: storageFailure == nil)
    }

    private func partitionsWithoutQuorum() -> Int {
        guard let map = clusterMap else { return 0 }
        return map.partitions.count { configuration in
            !configuration.isQuorum(configuration.everyone.filter(detector.isLive)) {
                max(map.policy.writeQuorum(of: $0), map.policy.readQuorum(of: $0))
            }
        }
    }

    /// Where a key lives.
    /// - Throws: `ControllerError`: `.badKey` for a text that is no key, `.notReady` before the first map.
    public func map(key text: String) throws(ControllerError) -> KeyMapAnswer {
        let key: Key
        do { key = try Key(text) } catch { throw ControllerError(.badKey, error.description) }
        let map = try currentMap()
        let partition = Int(map.partition(of: key).rawValue)
        let configuration = map.partitions[partition]
        var addresses: [String: String] = [:]
        for member in configuration.members { addresses[name(of: member)] = map.node(member)?.address }
        return KeyMapAnswer(
            key: text, slot: Int(Slot(of: key).rawValue), partition: partition, epoch: configuration.epoch,
            primary: configuration.members.first.map(name) ?? "",
            leader: leaders()[partition].map { name(of: $0.node) },
            replicas: configuration.members.map(name), addresses: addresses)
    }

    /// The whole map with names for numbers.
    /// - Throws: `ControllerError.notReady` before the first map.
    public func map() throws(ControllerError) -> MapAnswer {
        let map = try currentMap()
        let leaders = leaders()
        return MapAnswer(
            cluster: map.name, epoch: map.epoch, policy: map.policy,
            nodes: map.nodes.map { node in
                MapAnswer.Node(
                    name: node.name, id: node.id, address: node.address, peerAddress: node.peerAddress,
                    zone: node.zone, draining: node.isDraining)
            },
            partitions: map.partitions.enumerated().map { index, configuration in
                MapAnswer.Partition(
                    partition: index, epoch: configuration.epoch, members: configuration.members.map(name),
                    previous: configuration.previous?.map(name), leader: leaders[index].map { name(of: $0.node) })
            })
    }

    private func currentMap() throws(ControllerError) -> ClusterMap {
        guard let map = clusterMap else {
            throw ControllerError(.notReady, "There is no cluster map yet: nodes are still missing.")
        }
        return map
    }

    /// All partitions, problems first. Empty before the first map.
    public func partitions() -> PartitionsAnswer {
        guard let map = clusterMap else {
            return PartitionsAnswer(summary: PartitionSummary(), work: [], partitions: [])
        }
        let now = clock.monotonic()
        let leaders = leaders()
        var summary = PartitionSummary()
        summary.total = map.partitions.count
        summary.waiting = planner.waiting
        let wanted = min(map.policy.replicas, state.members.count { !$0.isDraining })
        var list = map.partitions.enumerated().map { index, configuration in
            let leader = leaders[index]
            let isWhole = configuration.everyone.allSatisfy(detector.isLive) && configuration.members.count >= wanted
            let state: PartitionsAnswer.State =
                if leader == nil {
                    .leaderless
                } else if !isWhole {
                    .underReplicated
                } else {
                    configuration.isJoint ? .moving : .ok
                }
            switch state {
            case .ok: summary.ok += 1
            case .moving: summary.moving += 1
            case .underReplicated: summary.underReplicated += 1
            case .leaderless: summary.leaderless += 1
            }
            return PartitionsAnswer.Partition(
                partition: index, epoch: configuration.epoch, members: configuration.members.map(name),
                previous: configuration.previous?.map(name), leader: leader.map { name(of: $0.node) },
                synced: leader.map { $0.isSynced && $0.epoch == configuration.epoch } ?? false,
                lagging: (leader?.lagging ?? []).map(name), state: state,
                progress: leader.flatMap { progress(of: index, $0) })
        }
        let rank: [PartitionsAnswer.State] = [.leaderless, .underReplicated, .moving, .ok]
        list.sort { left, right in
            (rank.firstIndex(of: left.state) ?? 0, left.partition)
                < (rank.firstIndex(of: right.state) ?? 0, right.partition)
        }
        return PartitionsAnswer(
            summary: summary, work: state.work.map { answer($0, map, now: now) }, partitions: list)
    }

    private func progress(of partition: Int, _ leader: LeaderReport) -> PartitionsAnswer.Progress? {
        guard let progress = leader.progress else { return nil }
        return PartitionsAnswer.Progress(
            keys: progress.keys, keysLeft: progress.keysLeft, bytes: progress.bytes, bytesLeft: progress.bytesLeft,
            millisecondsLeft: speed.millisecondsLeft(PartitionID(UInt16(partition)), epoch: leader.epoch))
    }

    /// Nodes that are up, in the order of the configuration file.
    public func liveNodes() -> [LiveNode] {
        orderedMembers.filter { detector.isLive($0.id) }.map { LiveNode(name: $0.name, address: $0.address) }
    }

    // MARK: Events

    /// Up to `limit` events (at most 1,000) after number `after`, or the newest ones; oldest first.
    public func events(after: UInt64? = nil, limit: Int = 100) -> EventsAnswer {
        EventsAnswer(events: log.page(after: after, limit: min(limit, EventLog.capacity)))
    }
}
