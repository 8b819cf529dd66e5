import Foundation
import KVProtocols
import Testing

@testable import kv

/// When a node may give up the data of a backend that was exchanged.
@Suite struct BackendExchangeTests {
    private func obstacle(
        members: [String] = ["a", "b", "c"], previous: [String]? = nil, synced: Bool = true, lagging: [String] = [],
        working: Set<String> = ["b", "c"]
    ) throws -> String? {
        let policy = try ReplicationPolicy(replicas: 3, write: 2, read: 2)
        let partition = PartitionsDocument.Partition(
            partition: 7, members: members, previous: previous, synced: synced, lagging: lagging)
        return PartitionsDocument(partitions: [partition]).obstacle(
            toEmptying: "a", working: working, policy: policy)
    }

    @Test func `nothing is in the way while all others are complete`() throws {
        #expect(try obstacle() == nil)
        #expect(try obstacle(lagging: ["a"], working: ["b", "c", "d"]) == nil)
        #expect(try obstacle(members: ["b", "c"], synced: false, working: []) == nil, "a partition of others")
    }

    @Test func `what the others lack is in the way`() throws {
        #expect(try obstacle(working: ["c"])?.contains("b, which holds partition 7, is not up") == true)
        #expect(try obstacle(lagging: ["c"])?.contains("c lags") == true)
        #expect(try obstacle(synced: false)?.contains("compared") == true)
        #expect(try obstacle(previous: ["a", "b"])?.contains("moved") == true)
    }

    @Test func `two members can't do without one of them`() throws {
        #expect(try obstacle(members: ["a", "b"])?.contains("too few") == true)
        #expect(try obstacle(members: ["a"])?.contains("too few") == true)
    }

    @Test func `a controller without a map says nothing of the data`() throws {
        let policy = try ReplicationPolicy(replicas: 3, write: 2, read: 2)
        let reason = PartitionsDocument(partitions: []).obstacle(toEmptying: "a", working: ["b", "c"], policy: policy)
        #expect(reason?.contains("no cluster map") == true)
    }

    // MARK: What the controller says of itself

    private func complaint(
        verdict: String = "ok", reasons: [String] = [], alarm: [String]? = nil, storable: Bool? = true,
        states: [(String, String)] = [("a", "down"), ("b", "up"), ("c", "up")]
    ) -> String? {
        let health = HealthDocument(
            verdict: verdict, reasons: reasons, cluster: "demo", mapEpoch: 7, nodes: .init(up: 2, down: 1, total: 3),
            partitions: .init(total: 16, ok: 0, moving: 0, underReplicated: 16, leaderless: 0), alarm: alarm,
            storable: storable)
        let nodes = states.map { name, state in
            NodesDocument.Node(
                name: name, state: state, reasons: [], address: "h:1", backend: "file", keys: 0, bytesOnDisk: 0,
                replicas: 16, leading: 0, lastHeartbeatMsAgo: nil)
        }
        return BackendExchange.obstacle(of: "a", health, NodesDocument(nodes: nodes))
    }

    @Test func `a cluster that serves without this node is none`() {
        #expect(complaint() == nil)
        #expect(complaint(verdict: "degraded", reasons: ["a is down"]) == nil)
    }

    @Test func `a cluster that has not begun, or does not serve, is one`() {
        #expect(complaint(verdict: "starting") == "the cluster is starting")
        let failed = complaint(verdict: "failed", reasons: ["2 partitions have too few live members", "more"])
        #expect(failed == "the cluster is failed: 2 partitions have too few live members")
    }

    @Test func `a controller that does not keep what it learns is one`() {
        #expect(complaint(verdict: "degraded", storable: false)?.contains("can't store") == true)
        #expect(complaint(storable: nil)?.contains("older version") == true)
    }

    @Test func `lost nodes that nobody replaces are one`() {
        let reason = complaint(verdict: "degraded", alarm: ["b", "d"])
        #expect(reason?.contains("b, d were lost at once") == true)
    }

    @Test func `a node that the controller does not know, or refuses, keeps its data`() {
        for states in [[("a", "waiting"), ("b", "up")], [("a", "failed"), ("b", "up")], [("b", "up")]] {
            #expect(complaint(states: states)?.contains("no member a") == true)
        }
    }

    @Test func `whether the controller can store is read from its answer, and need not be there`() throws {
        let text = """
            {"cluster":"demo","map_epoch":1,"nodes":{"down":0,"total":4,"up":4},"partitions":{"leaderless":0,"moving":0,\
            "ok":64,"total":64,"under_replicated":0,"waiting":0},"reasons":[],"verdict":"ok"
            """
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        func health(_ more: String) throws -> HealthDocument {
            try decoder.decode(HealthDocument.self, from: Data((text + more).utf8))
        }
        #expect(try health("}").storable == nil)
        #expect(try health(",\"storable\":false,\"alarm\":[\"b\"]}").storable == false)
        #expect(try health(",\"storable\":true,\"alarm\":[\"b\"]}").alarm == ["b"])
    }

    // MARK: Waiting

    /// Waits with a clock and answers of the test's own; each answer takes a second.
    /// - Returns: what was told, and after how many answers the wait was over.
    private func wait(_ answers: [String?], proof: Duration) async throws -> (told: [String], asked: Int) {
        var now = ContinuousClock.now
        var told: [String] = []
        var asked = 0
        try await BackendExchange.awaitOthers(clearFor: proof) {
            now
        } obstacle: {
            asked += 1
            return asked <= answers.count ? answers[asked - 1] : nil
        } tell: {
            told.append($0)
        } pause: {
            now += .seconds(1)
            if asked > 100 { throw CancellationError() }
        }
        return (told, asked)
    }

    @Test func `the data is given up once nothing was in the way for long enough`() async throws {
        let result = try await wait([], proof: .seconds(3))
        #expect(result.told == [])
        #expect(result.asked == 5, "more than three seconds lie between the first and the fifth")
    }

    @Test func `a reason is told once, and time begins anew behind it`() async throws {
        let result = try await wait(["x", "x", nil, nil, "y", nil, nil], proof: .seconds(3))
        #expect(result.told == ["x", "y"])
        #expect(result.asked == 10)
    }

    @Test func `without an end to the obstacle the wait has none`() async {
        let answers = [String?](repeating: "x", count: 200)
        await #expect(throws: CancellationError.self) { try await wait(answers, proof: .zero) }
    }
}
