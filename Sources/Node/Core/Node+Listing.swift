import KVProtocols
import KVReplication
import KVTransport

/// Pages of keys over all partitions: asked of those who lead them, and put together.
extension Node {
    private static let retryMilliseconds: UInt64 = 20
    private static let patientRetryMilliseconds: UInt64 = 200

    public func list(_ request: ListRequest) async -> ListReply {
        if request.localOnly {
            return await engine.listLocally(request) ?? .nothing(of: settings.partitions)
        }
        let deadline = Clocks.monotonicMilliseconds() + Self.questionMilliseconds
        var todo = (0..<settings.partitions).map { PartitionID(UInt16($0)) }
        var before: [PartitionID] = []
        var merged = Merge(limit: request.limit, partitions: settings.partitions)
        while true {
            let groups = await groupByLeader(todo)
            todo = groups.leaderless
            var refused: [(NodeID, PartitionID)] = []
            for (node, partitions, reply) in await ask(groups.led, request, deadline: deadline) {
                guard case .list(let entries, let reach, let unable)? = reply else {
                    engine.put(.distrust(node, partitions))
                    todo += partitions
                    continue
                }
                merged.add(entries, reach: reach, except: Set(unable))
                refused += unable.map { (node, $0) }
                todo += unable
            }
            todo.sort()
            let now = Clocks.monotonicMilliseconds()
            if todo.isEmpty || now >= deadline || Task.isCancelled { break }
            await distrustFollowers(refused, deadline: min(deadline, now + Self.patientRetryMilliseconds))
            // A leader is being elected, or a barrier was overtaken: a moment later it answers. What stays away is asked for
            // less often: a record is damaged, and to ask for pages does not replace it.
            let pause = todo == before ? Self.patientRetryMilliseconds : Self.retryMilliseconds
            before = todo
            do { try await Task.sleep(for: .milliseconds(min(pause, deadline - now))) } catch { break }
        }
        return merged.reply(incomplete: todo)
    }

    /// A page lacks a partition because the one asked does not lead it, or because a record in it is damaged or its writes
    /// are held up; the page does not say which. A leader stays believed in: to ask others for its keys would be in vain.
    private func distrustFollowers(_ refused: [(NodeID, PartitionID)], deadline: UInt64) async {
        await withTaskGroup(of: Void.self) { tasks in
            for (node, partition) in refused {
                tasks.addTask {
                    // Of any key: the answer says who leads.
                    let question = PeerRequest.replica(partition, Key(unchecked: [UInt8(ascii: "k")]))
                    let reply = await self.engine.ask(node, question, deadline: deadline)
                    if Self.isFollowers(reply) { self.engine.put(.distrust(node, [partition])) }
                }
            }
        }
    }

    /// A node that is too busy to say has not said that it follows.
    private static func isFollowers(_ reply: PeerReply?) -> Bool {
        guard case .replica(let answer)? = reply else { return false }
        return switch answer {
        case .holds(_, let isLeader), .missing(let isLeader), .damaged(let isLeader): !isLeader
        }
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
