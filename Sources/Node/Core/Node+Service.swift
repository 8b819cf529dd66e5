public import KVProtocols
import KVStorage
public import KVReplication
import KVTransport

extension Node: NodeService {
    public var name: String { settings.name }
    public var maximumValueLength: Int { settings.maximumValueLength }

    static let questionMilliseconds: UInt64 = 2_000

    public func submit(
        _ operation: Operation, timeoutMilliseconds: Int, completion: @escaping @Sendable (Answer) -> Void
    ) {
        guard let key = operation.key else { return completion(Answer(outcome: .refused(.failed), leader: nil)) }
        let deadline = Clocks.monotonicMilliseconds() + UInt64(max(1, timeoutMilliseconds))
        engine.submit(key.partition(of: settings.partitions), operation, deadline: deadline, completion: completion)
    }

    public func local(_ key: Key) async throws(StorageError) -> Record? {
        try await engine.read(key.partition(of: settings.partitions), key).get()
    }

    public func replicas(of key: Key) async -> ReplicasReply {
        let partition = key.partition(of: settings.partitions)
        let report = await engine.report()
        let configuration = report?.map?.partitions[Int(partition.rawValue)] ?? .none
        let leader = report?.leaders[Int(partition.rawValue)]
        let deadline = Clocks.monotonicMilliseconds() + Self.questionMilliseconds
        let replicas = await withTaskGroup(of: (Int, ReplicasReply.Replica).self) { tasks in
            for (index, node) in configuration.everyone.enumerated() {
                let name = report?.map?.node(node)?.name ?? "node \(node)"
                tasks.addTask {
                    let reply = await self.engine.ask(node, .replica(partition, key), deadline: deadline)
                    return (index, Self.replica(name, reply))
                }
            }
            return await tasks.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
        let leaderName = leader.flatMap { report?.map?.node($0)?.name }
        return ReplicasReply(partition: partition, leader: leaderName, replicas: replicas)
    }

    private static func replica(_ name: String, _ reply: PeerReply?) -> ReplicasReply.Replica {
        guard case .replica(let answer)? = reply else {
            return ReplicasReply.Replica(node: name, isLeader: false, state: .unreachable, record: nil)
        }
        switch answer {
        case .holds(let record, let isLeader):
            return ReplicasReply.Replica(node: name, isLeader: isLeader, state: .ok, record: record)
        case .missing(let isLeader):
            return ReplicasReply.Replica(node: name, isLeader: isLeader, state: .missing, record: nil)
        case .damaged(let isLeader):
            return ReplicasReply.Replica(node: name, isLeader: isLeader, state: .damaged, record: nil)
        }
    }
}
