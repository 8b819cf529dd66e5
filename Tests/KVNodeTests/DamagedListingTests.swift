import Foundation
import KVProtocols
import KVReplication
import Synchronization
import Testing

@testable import KVNode

/// Listings that meet records which fail verification, and what other nodes make of it.
@Suite(.serialized) struct DamagedListingTests {
    private static let text = "a value that lies there and is not read"

    private func put(_ node: Node, _ key: String) async throws {
        let answer = await node.execute(
            .put(try Key(key), value: Array(Self.text.utf8), expiresAt: 0, .none), timeoutMilliseconds: 30_000)
        guard case .written = answer.outcome else { throw TestFailure(what: "a put, got \(answer.outcome)") }
    }

    /// Waits until the key is in the member's backend and nowhere else, and changes it there.
    private func flip(_ cluster: TestCluster, _ member: TestCluster.Member, _ key: String) async throws {
        let url = cluster.folder.appending(path: member.name).appending(path: key)
        try await awaitInBackend(cluster, member, key)
        try await eventually("\(member.name) reads from its backend") {
            await member.node.engine.report()?.overlayBytes == 0
        }
        let handle = try FileHandle(forUpdating: url)
        try handle.seek(toOffset: 3)
        try handle.write(contentsOf: Data([UInt8(ascii: "#")]))
        try handle.close()
    }

    private func awaitInBackend(_ cluster: TestCluster, _ member: TestCluster.Member, _ key: String) async throws {
        let url = cluster.folder.appending(path: member.name).appending(path: key)
        try await eventually("\(key) is in the backend of \(member.name)") {
            (try? Data(contentsOf: url))?.count == Self.text.utf8.count
        }
    }

    /// Whether what the member would read of the key is what `flip` wrote.
    private func isFlipped(_ cluster: TestCluster, _ member: TestCluster.Member, _ key: String) async -> Bool {
        guard await member.node.engine.report()?.overlayBytes == 0 else { return false }
        let url = cluster.folder.appending(path: member.name).appending(path: key)
        guard let data = try? Data(contentsOf: url), data.count == Self.text.utf8.count else { return false }
        return String(decoding: data, as: UTF8.self) != Self.text
    }

    private var everything: ListRequest {
        ListRequest(prefix: [], after: nil, limit: 1_000, values: true, localOnly: false)
    }

    /// No replica is whole, so nothing can be repaired: the leader's page lacks the partition, which is no reason to take
    /// another node for the leader.
    @Test func `a leader that can't tell a damaged record is still believed to lead`() async throws {
        let cluster = try TestCluster(nodes: 4)
        let members = try cluster.startAll()
        try await put(members[0].node, "key")
        let partition = try Key("key").partition(of: TestCluster.partitions)
        let report = try #require(await members[0].node.engine.report())
        let map = try #require(report.map)
        let holders = map.partitions[Int(partition.rawValue)].members.compactMap { map.node($0)?.name }
        let asker = try #require(members.first { !holders.contains($0.name) })
        let holding = members.filter { holders.contains($0.name) }
        // A put is over when two of the three have it: with both of these damaged nobody could give it to the third.
        for member in holding { try await awaitInBackend(cluster, member, "key") }
        for attempt in 1... {
            for member in holding {
                if await !isFlipped(cluster, member, "key") { try await flip(cluster, member, "key") }
            }
            let before = await ballots(members, of: partition)
            let first = await asker.node.engine.report()?.leaders[Int(partition.rawValue)]
            let (believed, page) = try await listWatching(asker.node, partition)
            let after = await ballots(members, of: partition)
            // A leader that looks at its records before the last is damaged repairs the others with it.
            var isDamaged = true
            for member in holding { if await !isFlipped(cluster, member, "key") { isDamaged = false } }
            guard isDamaged || attempt == 20 else { continue }
            // On a busy machine another node may be elected meanwhile: what is believed then says nothing.
            guard before == after && before.count == 1 && first == before.keys.first || attempt == 20 else { continue }
            #expect(page.incomplete == [partition])
            #expect(believed == Set(before.keys), "led by \(before), then by \(after)")
            break
        }
        try await cluster.end(members)
    }

    /// The nodes that lead the partition, as they say.
    private func ballots(_ members: [TestCluster.Member], of partition: PartitionID) async -> [NodeID: Ballot] {
        var ballots: [NodeID: Ballot] = [:]
        for member in members {
            let report = await member.node.engine.report()
            guard let node = report?.identity?.node else { continue }
            ballots[node] = report?.leading.first { $0.partition == partition }?.ballot
        }
        return ballots
    }

    /// A page, and all that the node takes for the leader until it is there.
    private func listWatching(
        _ node: Node, _ partition: PartitionID
    ) async throws -> (believed: Set<NodeID>, page: ListReply) {
        async let page = node.list(everything)
        let isOver = Flag()
        let watch = Task {
            var believed: Set<NodeID> = []
            repeat {
                if let leader = await node.engine.report()?.leaders[Int(partition.rawValue)] { believed.insert(leader) }
                try await Task.sleep(for: .milliseconds(1))
            } while !isOver.isSet
            return believed
        }
        let done = await page
        isOver.set()
        return (try await watch.value, done)
    }

    @Test func `a page ends after 64 damaged records`() async throws {
        let cluster = try TestCluster(nodes: 3)
        let members = try cluster.startAll()
        let keys = (100..<220).map { "key\($0)" }
        for key in keys { try await put(members[0].node, key) }
        for key in keys { try await flip(cluster, members[2], key) }
        var request = everything
        request.localOnly = true
        let page = await members[2].node.list(request)
        #expect(!page.incomplete.isEmpty)
        #expect(page.entries.isEmpty)
        #expect(page.reach == (try Key("key163")), "the next page goes on behind the last that was looked at")
        let found = await members[2].node.status().counters.first { $0.name == "scrub_damaged" }?.value
        #expect(found == 64)
        try await cluster.end(members)
    }
}

/// Set once.
private final class Flag: Sendable {
    private let state = Mutex(false)

    var isSet: Bool { state.withLock { $0 } }
    func set() { state.withLock { $0 = true } }
}
