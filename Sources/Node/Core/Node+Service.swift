public import KVProtocols
import KVStorage
public import KVReplication
import KVTransport

extension Node: NodeService {
    public var name: String { settings.name }
    public var maximumValueLength: Int { settings.maximumValueLength }

    private static let questionMilliseconds: UInt64 = 2_000

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

    public func list(_ request: ListRequest) async -> ListReply {
        if request.localOnly {
            return await engine.listLocally(request) ?? .nothing(of: settings.partitions)
        }
        let deadline = Clocks.monotonicMilliseconds() + Self.questionMilliseconds
        var todo = (0..<settings.partitions).map { PartitionID(UInt16($0)) }
        var merged = Merge(limit: request.limit, partitions: settings.partitions)
        while true {
            let groups = await groupByLeader(todo)
            todo = groups.leaderless
            for (node, partitions, reply) in await ask(groups.led, request, deadline: deadline) {
                guard case .list(let entries, let reach, let unable)? = reply else {
                    engine.put(.distrust(node, partitions))
                    todo += partitions
                    continue
                }
                merged.add(entries, reach: reach, except: Set(unable))
                if !unable.isEmpty { engine.put(.distrust(node, unable)) }
                todo += unable
            }
            if todo.isEmpty || Clocks.monotonicMilliseconds() >= deadline || Task.isCancelled { break }
            // A leader is being elected, or a barrier was overtaken: a moment later it answers.
            do { try await Task.sleep(for: .milliseconds(20)) } catch { break }
        }
        return merged.reply(incomplete: todo.sorted())
    }

    private func groupByLeader(
        _ partitions: [PartitionID]
    ) async -> (led: [(NodeID, [PartitionID])], leaderless: [PartitionID]) {
        guard let report = await engine.report() else { return ([], partitions) }
        var groups: [NodeID: [PartitionID]] = [:]
        var leaderless: [PartitionID] = []
        for partition in partitions {
            if let leader = report.leaders[Int(partition.rawValue)] {
                groups[leader, default: []].append(partition)
            } else {
                leaderless.append(partition)
            }
        }
        return (groups.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, leaderless)
    }

    private func ask(
        _ groups: [(NodeID, [PartitionID])], _ request: ListRequest, deadline: UInt64
    ) async -> [(NodeID, [PartitionID], PeerReply?)] {
        await withTaskGroup(of: (NodeID, [PartitionID], PeerReply?).self) { tasks in
            for (node, partitions) in groups {
                tasks.addTask {
                    let question = PeerRequest.list(
                        partitions, prefix: request.prefix, after: request.after, limit: UInt32(request.limit),
                        values: request.values)
                    return (node, partitions, await self.engine.ask(node, question, deadline: deadline))
                }
            }
            return await tasks.reduce(into: []) { $0.append($1) }
        }
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

/// Puts the leaders' pages together: each ascending, together cut at the limits.
private struct Merge {
    let limit: Int
    let partitions: Int
    private var entries: [KeyRecord] = []
    /// Up to which key every page that stopped early knows all.
    private var reach: Key?

    init(limit: Int, partitions: Int) {
        self.limit = limit
        self.partitions = partitions
    }

    mutating func add(_ page: [KeyRecord], reach end: Key?, except unable: Set<PartitionID>) {
        if let end { reach = min(reach ?? end, end) }
        entries += unable.isEmpty ? page : page.filter { !unable.contains($0.key.partition(of: partitions)) }
    }

    func reply(incomplete: [PartitionID]) -> ListReply {
        var sorted = entries.sorted { $0.key < $1.key }
        var end = reach
        if let reach { sorted = Array(sorted.prefix { $0.key <= reach }) }
        let fitting = PageBounds.fitting(sorted.prefix(limit).lazy.map { $0.record.value?.count ?? 0 })
        if fitting < sorted.count {
            sorted = Array(sorted.prefix(fitting))
            end = sorted.last?.key
        }
        return ListReply(
            entries: sorted.map { ListReply.Entry(key: $0.key, record: $0.record) }, reach: end,
            incomplete: incomplete)
    }
}
