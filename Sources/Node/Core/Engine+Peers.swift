import KVProtocols
import KVStorage
import Logging
import KVReplication
import KVTransport

/// A question to another node that waits for its answer.
struct PendingAsk {
    let node: NodeID
    let deadline: UInt64
    let completion: @Sendable (PeerReply?) -> Void
}

extension Engine {
    func handle(_ event: PeerEvent) {
        switch event {
        case .connected(let node):
            connected.insert(node)
            stepAll(.peerBack(node))
        case .disconnected(let node):
            connected.remove(node)
            stepAll(.peerLost(node))
            abandonForwarded(to: node)
        case .received(let node, let messages):
            for message in messages { receive(message, from: node) }
        case .turnedAway:
            break  // the transport has logged it
        }
    }

    private func receive(_ message: PeerMessage, from node: NodeID) {
        switch message {
        case .machine(let partition, let header, let message):
            counters.machineMessages += 1
            // A node that the controller turned away has no vote.
            guard refusal == nil else { return }
            if let key = message.key, !belongs(key, to: partition) {
                counters.misplacedMessages += 1
                logger.error(
                    "a message about a key of another partition was dropped",
                    metadata: ["peer": "\(node)", "kv.partition": "\(partition)"])
                return
            }
            if isTooFull(for: message) {
                counters.droppedWhileFull += 1
                return
            }
            step(partition, .message(from: node, header, message))
        case .request(let id, let request):
            serve(request, id: id, from: node)
        case .reply(let id, let reply):
            if let ask = asked.removeValue(forKey: id) {
                ask.completion(reply)
            } else if case .outcome(let outcome) = reply, case .forwarded(let leader)? = pending[id]?.stage,
                leader == node
            {
                finish(id, outcome, from: node)
            }
        }
    }

    /// Records wait with their sender while there is far more than the backend takes.
    private func isTooFull(for message: Message) -> Bool {
        switch message {
        case .accept, .copy: storage.isFarOverLimit
        default: false
        }
    }

    /// Engines refuse, for good, what they could not find again.
    private func belongs(_ key: Key, to partition: PartitionID) -> Bool {
        Slot(of: key).partition(of: replicas.count) == partition
    }

    func ask(
        _ node: NodeID, _ request: PeerRequest, deadline: UInt64, completion: @escaping @Sendable (PeerReply?) -> Void
    ) {
        if node == identity.node {
            answer(request, deadline: deadline, completion: completion)
            return
        }
        guard connected.contains(node), asked.count < settings.maximumOperations else { return completion(nil) }
        let id = nextID
        nextID += 1
        asked[id] = PendingAsk(node: node, deadline: deadline, completion: completion)
        post(.request(id: id, request), to: node)
    }

    private func serve(_ request: PeerRequest, id: UInt64, from node: NodeID) {
        let links = links
        answer(request, deadline: now + 5_000) { reply in
            if let reply { links.send([.reply(id: id, reply)], to: node) }
        }
    }

    /// Answers a question of a peer, or of this node itself.
    private func answer(
        _ request: PeerRequest, deadline: UInt64, completion: @escaping @Sendable (PeerReply?) -> Void
    ) {
        switch request {
        case .operation(let partition, let operation, let timeout):
            guard Int(partition.rawValue) < replicas.count, operation.key.map({ belongs($0, to: partition) }) ?? true
            else { return completion(nil) }
            begin(partition, operation, deadline: now + UInt64(timeout), isForwarded: true) { answer in
                completion(.outcome(answer.outcome))
            }
        case .list(let partitions, let prefix, let after, let limit, let values):
            let request = ListRequest(
                prefix: prefix, after: after, limit: min(max(Int(limit), 1), 1_000), values: values, localOnly: false)
            listAsLeader(partitions, request, deadline: deadline, completion: completion)
        case .replica(let partition, let key):
            guard Int(partition.rawValue) < replicas.count else { return completion(nil) }
            let isLeader = replicas[Int(partition.rawValue)]?.machine.isLeading == true
            switch readLocally(partition, key) {
            case .success(let record?): completion(.replica(.holds(record, isLeader: isLeader)))
            case .success(nil): completion(.replica(.missing(isLeader: isLeader)))
            case .failure: completion(.replica(.damaged(isLeader: isLeader)))
            }
        }
    }

    func readLocally(_ partition: PartitionID, _ key: Key) -> Result<Record?, StorageError> {
        guard replicas[Int(partition.rawValue)]?.machine.isMember == true else {
            return .failure(
                StorageError(.invalid, "this node holds no replica of the key; ask one of its replica set"))
        }
        do {
            return .success(try storage.read(partition, key))
        } catch {
            return .failure(error)
        }
    }
}
