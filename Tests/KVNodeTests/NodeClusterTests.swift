import KVController
import KVProtocols
import KVReplication
import Testing

@testable import KVNode

@Suite(.serialized) struct NodeClusterTests {
    private func put(_ node: Node, _ key: String, _ value: String) async throws -> Answer {
        await node.execute(
            .put(try Key(key), value: Array(value.utf8), expiresAt: 0, .none), timeoutMilliseconds: 10_000)
    }

    private func get(_ node: Node, _ key: String) async throws -> String? {
        let answer = await node.execute(.get(try Key(key)), timeoutMilliseconds: 10_000)
        switch answer.outcome {
        case .value(let record): return record.value.map { String(decoding: $0, as: UTF8.self) }
        case .absent: return nil
        default: throw TestFailure(what: "a read of \(key), got \(answer.outcome)")
        }
    }

    private func isWritten(_ answer: Answer) -> Bool {
        if case .written = answer.outcome { true } else { false }
    }

    @Test func whatOneNodeWritesEveryNodeReads() async throws {
        let cluster = try TestCluster()
        let members = try cluster.startAll()
        for index in 0..<40 {
            let answer = try await put(members[index % 4].node, "key\(index)", "value\(index)")
            #expect(isWritten(answer), "\(answer.outcome)")
        }
        for member in members {
            for index in 0..<40 { #expect(try await get(member.node, "key\(index)") == "value\(index)") }
            #expect(try await get(member.node, "nothing") == nil)
        }
        let list = await members[0].node.list(
            ListRequest(prefix: Array("key".utf8), after: nil, limit: 1_000, values: true, localOnly: false))
        #expect(list.entries.map(\.key.description) == (0..<40).map { "key\($0)" }.sorted())
        #expect(list.incomplete.isEmpty)
        // Amid an election nobody leads, or two think so.
        try await eventually("one of three replicas leads") {
            let replicas = await members[1].node.replicas(of: try Key("key7")).replicas
            return replicas.count == 3 && replicas.filter(\.isLeader).count == 1
        }
        try await cluster.end(members)
    }

    @Test func theBytesThatAMemberSendsAnotherReceives() async throws {
        let cluster = try TestCluster()
        let members = try cluster.startAll()
        let value = String(repeating: "v", count: 10_000)
        for index in 0..<20 {
            let answer = try await put(members[index % 4].node, "key\(index)", value)
            #expect(isWritten(answer), "\(answer.outcome)")
        }
        // Each value goes to two members, to one of them perhaps only when it is connected.
        for name in ["peer_sent_bytes", "peer_received_bytes"] {
            try await eventually("\(name) counts every value twice") {
                var bytes: UInt64 = 0
                for member in members {
                    bytes += await member.node.status().counters.first { $0.name == name }?.value ?? 0
                }
                return bytes >= 2 * 20 * 10_000
            }
        }
        try await cluster.end(members)
    }

    @Test func aNodeThatStoppedSaysThatItsListingsAreIncomplete() async throws {
        let cluster = try TestCluster()
        let members = try cluster.startAll()
        try await cluster.stop(members[0])
        for localOnly in [true, false] {
            let page = await members[0].node.list(
                ListRequest(prefix: [], after: nil, limit: 10, values: false, localOnly: localOnly))
            #expect(page.entries.isEmpty)
            #expect(page.incomplete.count == TestCluster.partitions, "local only: \(localOnly)")
        }
        try await cluster.end(Array(members.dropFirst()))
    }

    /// Whether or not its first records have reached the disk: the next process finds the folder as it should be.
    @Test func aNodeThatIsToldToStopWhileItStartsStopsCleanly() async throws {
        let cluster = try TestCluster()
        for _ in 0..<5 { try await cluster.stop(try cluster.start(0)) }
        let members = try cluster.startAll()
        let answer = try await put(members[0].node, "key", "value")
        #expect(isWritten(answer), "\(answer.outcome)")
        try await cluster.end(members)
    }

    @Test func aListingOfLargeValuesTakesSeveralPages() async throws {
        let cluster = try TestCluster()
        let members = try cluster.startAll()
        let large = String(repeating: "x", count: 1 << 20)
        for index in 0..<9 {
            let answer = try await put(members[index % 4].node, "large\(index)", large)
            #expect(isWritten(answer), "\(answer.outcome)")
        }
        var seen: [String] = []
        var pages = 0
        var after: Key?
        repeat {
            let page = await members[0].node.list(
                ListRequest(prefix: Array("large".utf8), after: after, limit: 100, values: true, localOnly: false))
            #expect(page.incomplete.isEmpty)
            #expect(page.entries.reduce(0) { $0 + ($1.record.value?.count ?? 0) } <= PageBounds.valueBytes)
            seen += page.entries.map(\.key.description)
            pages += 1
            after = page.reach
        } while after != nil && pages < 20
        #expect(seen == (0..<9).map { "large\($0)" })
        #expect(pages >= 3)
        try await cluster.end(members)
    }

    @Test func aLostNodeIsReplacedAndNothingAcknowledgedIsLost() async throws {
        let cluster = try TestCluster()
        var members = try cluster.startAll()
        for index in 0..<40 { _ = try await put(members[0].node, "key\(index)", "before") }
        let gone = members.remove(at: 1)
        try await cluster.stop(gone)
        for index in 0..<40 {
            let answer = try await put(members[index % 3].node, "key\(index)", "after")
            #expect(isWritten(answer), "\(answer.outcome)")
        }
        try await eventually("three live members everywhere") {
            let partitions = await cluster.controller.partitions().partitions
            return partitions.allSatisfy {
                $0.members.count == 3 && !$0.members.contains("worker2") && $0.previous == nil
            }
        }
        for index in 0..<40 { #expect(try await get(members[2].node, "key\(index)") == "after") }
        members.append(try cluster.start(1))
        try await eventually("the node that returned holds replicas again") {
            let partitions = await cluster.controller.partitions().partitions
            return partitions.contains { $0.members.contains("worker2") }
                && partitions.allSatisfy { $0.previous == nil }
        }
        for member in members {
            for index in 0..<40 { #expect(try await get(member.node, "key\(index)") == "after") }
        }
        // Leaders have changed behind the backs of those that hold no replica: they must find them all the same.
        for member in members {
            let list = await member.node.list(
                ListRequest(prefix: [], after: nil, limit: 1_000, values: false, localOnly: false))
            #expect(list.entries.count == 40, "through \(member.name), without \(list.incomplete)")
        }
        try await cluster.end(members)
    }

    @Test func dataSurvivesAStopOfAllNodes() async throws {
        let cluster = try TestCluster()
        var members = try cluster.startAll()
        for index in 0..<20 { _ = try await put(members[0].node, "key\(index)", "kept") }
        for member in members { try await cluster.stop(member) }
        members = try cluster.startAll()
        for index in 0..<20 { #expect(try await get(members[index % 4].node, "key\(index)") == "kept") }
        try await cluster.end(members)
    }

    @Test func conditionsAreJudgedByTheNewestWrite() async throws {
        let cluster = try TestCluster()
        let members = try cluster.startAll()
        let key = try Key("counter")
        let created = await members[0].node.execute(
            .put(key, value: Array("1".utf8), expiresAt: 0, .absent), timeoutMilliseconds: 10_000)
        guard case .written(let version, _, _, _) = created.outcome else {
            throw TestFailure(what: "a create, got \(created.outcome)")
        }
        let again = await members[1].node.execute(
            .put(key, value: Array("2".utf8), expiresAt: 0, .absent), timeoutMilliseconds: 10_000)
        #expect(again.outcome == .conditionFailed(current: version))
        await withTaskGroup(of: Void.self) { tasks in
            for member in members {
                tasks.addTask {
                    for _ in 0..<10 {
                        let answer = await member.node.execute(.increment(key, by: 1), timeoutMilliseconds: 10_000)
                        if case .written = answer.outcome { continue }
                        Issue.record("an increment through \(member.name) ended as \(answer.outcome)")
                    }
                }
            }
        }
        #expect(try await get(members[2].node, "counter") == "41")
        try await cluster.end(members)
    }

    @Test func withoutAQuorumAWriteIsRefusedAndNothingIsShown() async throws {
        let cluster = try TestCluster(nodes: 3)
        var members = try cluster.startAll()
        #expect(isWritten(try await put(members[0].node, "key", "old")))
        try await eventually("the node has met its peers") { await members[0].node.status().connectedPeers == 2 }
        let second = members.remove(at: 2)
        let first = members.remove(at: 1)
        try await cluster.stop(second)
        try await cluster.stop(first)
        // Until the node has seen its links close it proposes in good faith, and the outcome is unknown.
        try await eventually("the survivor sees that it is alone") {
            await members[0].node.status().connectedPeers == 0
        }
        let answer = await members[0].node.execute(
            .put(try Key("key"), value: Array("new".utf8), expiresAt: 0, .none), timeoutMilliseconds: 2_000)
        switch answer.outcome {
        case .refused(.noQuorum(let reachable, let required)):
            #expect(reachable == 1)
            #expect(required == 2)
        default: Issue.record("expected a refusal, got \(answer.outcome)")
        }
        members.append(try cluster.start(1))
        #expect(try await get(members[1].node, "key") == "old")
        try await cluster.end(members)
    }

    /// Found by the test above on a slow machine: a node that was never met did not count as lost.
    @Test func aNodeThatWasDownBeforeThisOneStartedIsNotCountedOn() async throws {
        let cluster = try TestCluster(nodes: 3)
        let members = try cluster.startAll()
        #expect(isWritten(try await put(members[0].node, "key", "old")))
        for member in members { try await cluster.stop(member) }
        let first = try cluster.start(0)
        let second = try cluster.start(1)
        #expect(isWritten(try await put(first.node, "key", "new")))
        try await cluster.stop(second)
        try await eventually("a write is refused instead of proposed") {
            let answer = await first.node.execute(
                .put(try Key("key"), value: [], expiresAt: 0, .none), timeoutMilliseconds: 300)
            if case .refused(.noQuorum(reachable: 1, required: 2)) = answer.outcome { return true }
            return false
        }
        try await cluster.end([first])
    }
}
