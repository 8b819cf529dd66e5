import KVProtocols
import KVReplication

/// Clients, and what is checked at the moment of an answer.
extension World {
    func client() {
        guard !isCalm else { return }
        guard operationsLeft > 0 else {
            queue.schedule(.calm, at: now + random.around(400_000))
            return
        }
        operationsLeft -= 1
        let burst = random.chance(profile.burstiness) ? 1 + random.below(profile.burst) : 1
        for _ in 0..<burst { invoke(randomOperation(), at: chooseNode()) }
        queue.schedule(.client, at: now + random.around(profile.operationInterval))
    }

    private func chooseNode() -> NodeID {
        let leaders = profile.nodes.filter { nodes[index($0)].isLeading }
        return leaders.isEmpty || random.chance(0.05) ? random.pick(profile.nodes) : random.pick(leaders)
    }

    func randomOperation() -> Operation {
        let key = random.pick(profile.keys)
        let id = UInt64(calls.count + 1)
        let value = Array((random.chance(0.85) ? "\(id * 1_000)" : "t\(id)").utf8)
        var condition = Condition.none
        switch random.pick(weights: profile.mix) {
        case 0: return .get(key)
        case 1: return .put(key, value: value, expiresAt: 0, random.chance(0.1) ? .present : .none)
        case 2:
            let versions = recentVersions[key] ?? []
            if random.chance(0.3) { condition = versions.isEmpty ? .present : .version([random.pick(versions)]) }
            return .delete(key, condition)
        case 3:
            let versions = recentVersions[key] ?? []
            condition = .version(random.chance(0.8) ? versions.suffix(1) : versions.suffix(3))
            return .put(key, value: value, expiresAt: 0, condition)
        case 4: return .put(key, value: value, expiresAt: 0, .absent)
        case 5: return .increment(key, by: Int64(1 + random.below(9)))
        case 6:
            let expiresAt = 1_000_000 + now / 1_000 + random.below(4_000 as UInt64)
            return .put(key, value: value, expiresAt: expiresAt, .none)
        default: return .barrier
        }
    }

    @discardableResult
    func invoke(_ operation: Operation, at node: NodeID) -> UInt64 {
        let id = UInt64(calls.count + 1)
        report.figures.operations += 1
        let wall = nodes[index(node)].wall(now)
        if case .put(_, let value, _, _) = operation { writers[value] = id }
        calls.append(Call(id: id, operation: operation, wall: wall, invoked: now))
        guard nodes[index(node)].process != nil, nodes[index(node)].pausedUntil <= now else {
            calls[calls.count - 1].outcome = .refused(.failed)
            return id
        }
        if operation.isWrite, self.node(node).fullUntil > now {
            calls[calls.count - 1].outcome = .refused(.full)
            return id
        }
        note("client asks \(node): #\(id) \(Words.text(operation))")
        let boot = nodes[index(node)].boot
        pending[id] = (node, boot)
        if case .barrier = operation, self.node(node).isLeading {
            let store = self.node(node).store
            let entries: [(Key, Record?)] = profile.keys.compactMap { key in
                switch store.record(of: key) {
                case .absent: (key, nil)
                case .found(let record): (key, record)
                case .damaged, .unreadable: nil
                }
            }
            listings[id] = (store.state.purgeEpoch, entries)
        }
        step(node, .operation(id: id, operation, wallMilliseconds: wall))
        if pending[id] != nil {
            let patience = isCalm ? 5_000_000 : random.around(random.pick([100_000, 1_000_000, 3_000_000]))
            queue.schedule(.cancel(node, boot: boot, operation: id), at: now + patience)
        }
        return id
    }

    /// `state` is the leader's before the step: afterwards it may have gone on to another configuration.
    func answered(_ reply: Output.Reply, by node: NodeID, under state: PartitionState) {
        hash.add(reply.id)
        hash.add(reply.outcome)
        note("\(node) answers #\(reply.id): \(Words.text(reply.outcome))")
        guard pending.removeValue(forKey: reply.id) != nil else {
            return violation(.outcomes, "#\(reply.id) was answered twice, or never asked")
        }
        let place = Int(reply.id) - 1
        calls[place].returned = now
        calls[place].outcome = reply.outcome
        let operation = calls[place].operation
        switch reply.outcome {
        case .refused:
            report.figures.refused += 1
            if proposed.contains(reply.id) { violation(.outcomes, "#\(reply.id) was refused, but had been proposed") }
        case .unknown:
            report.figures.unknown += 1
            if !operation.isWrite { violation(.outcomes, "#\(reply.id) is a read, and was answered with unknown") }
        case .written(let version, _, _, _):
            report.figures.answered += 1
            remember(version, operation.key)
            checkDurable(version, operation.key, leader: node, state)
        case .value(let record):
            report.figures.answered += 1
            remember(record.version, operation.key)
            checkDurable(record.version, operation.key, leader: node, state)
            if let key = operation.key, !record.isIntact(for: key) {
                violation(.digests, "#\(reply.id) showed a damaged record of \(key)")
            }
        case .passed:
            report.figures.answered += 1
            listed(reply.id, leader: node, state)
        default:
            report.figures.answered += 1
        }
    }

    /// A listing shows what the leader's store held when its barrier was asked. To clients that is a read of every key.
    private func listed(_ id: UInt64, leader: NodeID, _ state: PartitionState) {
        guard let (purgeEpoch, entries) = listings.removeValue(forKey: id) else { return }
        let barrier = calls[Int(id) - 1]
        // What was deleted since may have been purged since: then no member holds it, and none has to.
        var state = state
        state.purgeEpoch = min(state.purgeEpoch, purgeEpoch)
        for (key, record) in entries {
            // Nothing is said about what has expired: a listing hides it, and its end may not be written down.
            if let record, record.expiresAt != 0, record.expiresAt <= barrier.wall { continue }
            var call = barrier
            call.id = UInt64(calls.count + 1)
            call.operation = .get(key)
            call.returned = now
            call.outcome = record.flatMap { $0.isTombstone ? nil : .value($0) } ?? .absent
            calls.append(call)
            if let record, !record.isTombstone { checkDurable(record.version, key, leader: leader, state) }
        }
    }

    private func remember(_ version: Version, _ key: Key?) {
        guard let key else { return }
        recentVersions[key, default: []].append(version)
        if recentVersions[key, default: []].count > 4 { recentVersions[key]?.removeFirst() }
    }

    /// What was acknowledged or shown is on the disks of a write quorum of every member set in force, or something newer
    /// is. A member that knows more than the leader may have gone further.
    private func checkDurable(_ version: Version, _ key: Key?, leader: NodeID, _ state: PartitionState) {
        guard let key else { return }
        func holds(_ node: NodeID) -> Bool {
            let member = self.node(node)
            if member.store.disk.state.configuration.epoch > state.configuration.epoch || node == damagedNode
                || member.isGone
            {
                return true
            }
            guard let held = member.store.disk.slots[key]?.record.version else {
                return member.store.disk.state.purgeEpoch > state.purgeEpoch
            }
            return held >= version
        }
        for set in [state.configuration.members, state.configuration.previous ?? []] {
            let count = set.count { holds($0) }
            if count < profile.policy.writeQuorum(of: set.count) {
                violation(
                    .durability,
                    "\(key) @\(version) was acknowledged or shown by \(leader), but only \(count) of \(set) hold it")
            }
        }
    }

    /// Looks at what a machine staged: nothing refused may ever be among it.
    func inspect(_ node: SimulatedNode, count: Int) {
        for change in node.store.staged.suffix(count) {
            note("\(node.id) stages \(Words.text(change))")
            if case .purge = change { report.figures.purges += 1 }
            guard case .put(_, let record) = change else { continue }
            hash.add(record.version)
            guard let value = record.value, let call = writers[value] else { continue }
            proposed.insert(call)
            if case .refused = calls[Int(call) - 1].outcome {
                violation(.outcomes, "#\(call) was refused, but \(node.id) stores it")
            }
        }
        // The whole is looked at now and then only where it is large.
        guard profile.keys.count <= 8 || report.figures.events & 31 == 0 else { return }
        if node.store.digest != node.store.recomputedDigest, !node.store.isDamaged {
            violation(
                .digests, "\(node.id)'s digest does not match what it holds")
        }
    }
}
