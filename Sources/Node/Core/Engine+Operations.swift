import KVProtocols
import Logging
import KVStorage
import KVReplication
import KVTransport

/// A client's operation on its way to an outcome.
struct PendingOperation {
    enum Stage {
        /// No leader is known, or it refused for the moment.
        case waiting(retryAt: UInt64)
        case atMachine
        case forwarded(NodeID)
    }

    let partition: PartitionID
    let operation: Operation
    let deadline: UInt64
    /// From a peer: then it is not sent on, and not retried.
    let isForwarded: Bool
    var stage: Stage
    var lastRefusal: Refusal = .timeout
    var quorumLostAt: UInt64?
    let completion: @Sendable (Answer) -> Void
}

/// Carrying operations to leaders, here or elsewhere, and outcomes back. What was refused before it was proposed may
/// be tried again until its time is over; what may have been proposed never is.
extension Engine {
    /// How long a leader without a quorum may hope for its members before clients are told.
    private static let quorumPatienceMilliseconds: UInt64 = 1_000
    private static let retryMilliseconds: UInt64 = 10
    private static let graceMilliseconds: UInt64 = 250

    func begin(
        _ partition: PartitionID, _ operation: Operation, deadline: UInt64, isForwarded: Bool = false,
        completion: @escaping @Sendable (Answer) -> Void
    ) {
        if operation.isWrite { counters.writes += 1 } else { counters.reads += 1 }
        if let refusal = admission(operation, partition) {
            counters.refused += 1
            completion(Answer(outcome: .refused(refusal), leader: nil))
            return
        }
        let id = nextID
        nextID += 1
        route(
            id,
            PendingOperation(
                partition: partition, operation: operation, deadline: deadline, isForwarded: isForwarded,
                stage: .atMachine, completion: completion))
    }

    private func admission(_ operation: Operation, _ partition: PartitionID) -> Refusal? {
        if storage.failure != nil || isStopped || refusal != nil { return .failed }
        if pending.count >= settings.maximumOperations { return .overloaded }
        guard operation.isWrite, replicas[Int(partition.rawValue)]?.machine.isLeading == true else { return nil }
        if refusesWrites, !(storage.isDiskLow && operation.freesSpace) { return .full }
        return storage.isOverLimit ? .overloaded : nil
    }

    /// Nothing can be stored for now: other members had better lead.
    var refusesWrites: Bool { storage.degradation?.code == .full || storage.degradation?.code == .readOnly }

    /// Sends an operation to whoever leads its partition, as far as is known here.
    private func route(_ id: UInt64, _ operation: PendingOperation) {
        var operation = operation
        let index = Int(operation.partition.rawValue)
        if operation.isForwarded || replicas[index]?.machine.isLeading == true {
            operation.stage = .atMachine
            pending[id] = operation
            guard replicas[index] != nil else { return finish(id, .refused(.notLeader(leader: nil))) }
            step(operation.partition, .operation(id: id, operation.operation, wallMilliseconds: wall))
            return
        }
        guard let leader = leader(of: operation.partition), leader != identity.node, connected.contains(leader) else {
            pending[id] = operation
            return wait(id)
        }
        operation.stage = .forwarded(leader)
        pending[id] = operation
        counters.forwarded += 1
        let left = UInt32(min(max(operation.deadline, now + 1) - now, 3_600_000))
        post(
            .request(
                id: id,
                .operation(operation.partition, operation.operation, timeoutMilliseconds: left)), to: leader)
    }

    /// Who leads, as believed here; for partitions held elsewhere the last hint, or the preferred leader.
    func leader(of partition: PartitionID) -> NodeID? {
        let index = Int(partition.rawValue)
        if let machine = replicas[index]?.machine, machine.isMember { return machine.leader }
        if let hint = leaderHints[index], connected.contains(hint) { return hint }
        return map?.partitions[index].members.first { connected.contains($0) }
    }

    private func wait(_ id: UInt64) {
        pending[id]?.stage = .waiting(retryAt: now + Self.retryMilliseconds)
        waiting.append(id)
    }

    func retryWaiting() {
        guard !waiting.isEmpty else { return }
        let ids = waiting
        waiting.removeAll(keepingCapacity: true)
        for id in ids {
            guard let operation = pending[id], case .waiting(let retryAt) = operation.stage else { continue }
            if now >= retryAt { route(id, operation) } else { waiting.append(id) }
        }
    }

    /// An outcome from a machine here or elsewhere: the client's answer, or a reason to try again.
    func finish(_ id: UInt64, _ outcome: Outcome, from node: NodeID? = nil) {
        guard let operation = pending[id] else { return }
        if !operation.isForwarded, case .refused(let refusal) = outcome, mayRetry(id, refusal, from: node) {
            return wait(id)
        }
        pending[id] = nil
        switch outcome {
        case .refused: counters.refused += 1
        case .unknown: counters.unknown += 1
        default: break
        }
        let leader = node ?? identity.node
        operation.completion(Answer(outcome: outcome, leader: name(of: leader)))
    }

    private func mayRetry(_ id: UInt64, _ refusal: Refusal, from node: NodeID?) -> Bool {
        guard let operation = pending[id], now < operation.deadline else { return false }
        pending[id]?.lastRefusal = refusal
        switch refusal {
        case .notLeader(let leader):
            let index = Int(operation.partition.rawValue)
            // A hint that names the one who just refused, or this node, leads nowhere.
            let leadsNowhere = leader == node || leader == identity.node
            leaderHints[index] = leadsNowhere ? nextMember(operation.partition, after: node) : leader
            return true
        case .electing:
            return true
        case .noQuorum:
            let since = operation.quorumLostAt ?? now
            pending[id]?.quorumLostAt = since
            return now < since + Self.quorumPatienceMilliseconds
        case .overloaded, .timeout, .full, .failed:
            return false
        }
    }

    /// For a partition that is held elsewhere the next member is believed to lead, until it says otherwise.
    func distrust(_ node: NodeID, _ partition: PartitionID) {
        guard Int(partition.rawValue) < replicas.count, leader(of: partition) == node else { return }
        leaderHints[Int(partition.rawValue)] = nextMember(partition, after: node)
    }

    private func nextMember(_ partition: PartitionID, after node: NodeID?) -> NodeID? {
        guard let members = map?.partitions[Int(partition.rawValue)].members, !members.isEmpty else { return nil }
        let position = node.flatMap { members.firstIndex(of: $0) } ?? members.count - 1
        return members[(position + 1) % members.count]
    }

    func checkDeadlines() {
        lastDeadlineCheck = now
        for id in pending.filter({ now >= $0.value.deadline }).keys.sorted() { expire(id) }
        for id in asked.filter({ now >= $0.value.deadline }).keys.sorted() {
            asked.removeValue(forKey: id)?.completion(nil)
        }
    }

    private func expire(_ id: UInt64) {
        guard let operation = pending[id] else { return }
        switch operation.stage {
        case .atMachine:
            step(operation.partition, .cancel(id: id))
            // The machine knows whether it was proposed; one that does not know it any more has answered already.
            if pending[id] != nil { abandon(id, .timeout) }
        case .forwarded:
            // The leader has the same deadline: its answer says more than silence.
            if now >= operation.deadline + Self.graceMilliseconds { abandon(id, .timeout) }
        case .waiting:
            abandon(id, noLeaderRefusal(operation))
        }
    }

    /// Why nobody could be asked: too few members, if it can be seen from here.
    private func noLeaderRefusal(_ operation: PendingOperation) -> Refusal {
        if case .noQuorum = operation.lastRefusal { return operation.lastRefusal }
        guard let members = map?.partitions[Int(operation.partition.rawValue)].members else { return .timeout }
        let reachable = members.filter { connected.contains($0) || $0 == identity.node }.count
        let required =
            operation.operation.isWrite
            ? settings.policy.writeQuorum(of: members.count) : settings.policy.readQuorum(of: members.count)
        return reachable < required ? .noQuorum(reachable: reachable, required: required) : .timeout
    }

    /// Ends an operation from outside the machines: unknown when it may have been proposed.
    func abandon(_ id: UInt64, _ refusal: Refusal) {
        guard let operation = pending.removeValue(forKey: id) else { return }
        var outcome = Outcome.refused(refusal)
        if operation.operation.isWrite {
            switch operation.stage {
            case .waiting: break
            case .atMachine, .forwarded:
                outcome = .unknown(acked: 0, required: settings.policy.writeQuorum(of: settings.policy.replicas))
            }
        }
        if case .unknown = outcome { counters.unknown += 1 } else { counters.refused += 1 }
        operation.completion(Answer(outcome: outcome, leader: nil))
    }

    /// The link to a peer broke: what it was asked may or may not have happened.
    func abandonForwarded(to node: NodeID) {
        for id in pending.keys.sorted() {
            guard let operation = pending[id], case .forwarded(let leader) = operation.stage, leader == node else {
                continue
            }
            if operation.operation.isWrite {
                abandon(id, .failed)
            } else {
                wait(id)
            }
        }
        for id in asked.filter({ $0.value.node == node }).keys.sorted() {
            asked.removeValue(forKey: id)?.completion(nil)
        }
    }

    func name(of node: NodeID?) -> String? {
        guard let node else { return nil }
        return node == identity.node ? settings.name : map?.node(node)?.name
    }
}
