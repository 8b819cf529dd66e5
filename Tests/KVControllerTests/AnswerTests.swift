import Foundation
import KVController
import KVPlacement
import KVProtocols
import Testing

/// The JSON that people and programs see.
@Suite struct AnswerTests {
    private func json(_ value: some Encodable) throws -> [String: Any] {
        let data = try JSONEncoder().encode(value)
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    @Test func healthHasItsKeys() async throws {
        let health = try json(await started().controller.health())
        #expect(health["status"] as? String == "controller up")
        #expect(health["workers_count"] as? Int == 4)
        #expect(health["verdict"] as? String == "ok")
        #expect(health["reasons"] as? [String] == [])
        #expect(health["storable"] as? Bool == true)
        #expect(health["cluster"] as? String == "demo")
        #expect(health["map_epoch"] as? Int == 1)
        #expect(health["nodes"] as? [String: Int] == ["up": 4, "down": 0, "total": 4])
        #expect(
            health["partitions"] as? [String: Int]
                == ["total": 64, "ok": 64, "moving": 0, "under_replicated": 0, "leaderless": 0, "waiting": 0])
    }

    @Test func theMapOfAKeyHasItsKeys() async throws {
        let cluster = try await started()
        let answer = try await cluster.controller.map(key: "mykey")
        #expect(answer.slot == 14687)
        #expect(answer.partition == 57)
        let map = try json(answer)
        #expect(map["primary"] as? String == "worker2")
        #expect(map["leader"] as? String == "worker2")
        #expect(map["replicas"] as? [String] == ["worker2", "worker3", "worker4"])
        #expect((map["addresses"] as? [String: String])?["worker2"] == "127.0.0.1:8002")
        #expect(Set(map.keys) == ["key", "slot", "partition", "epoch", "primary", "leader", "replicas", "addresses"])
        await #expect(throws: ControllerError.self) { try await cluster.controller.map(key: "") }
    }

    @Test func absentLeadersAndMovesAreNull() async throws {
        var cluster = try await started()
        try cluster.stop("worker1", "worker2")
        try await cluster.run(4000)
        let partitions = await cluster.controller.partitions()
        #expect(partitions.summary.leaderless > 0)
        #expect(partitions.partitions.first?.state == .leaderless)
        let first = try json(try #require(partitions.partitions.first))
        #expect(first["leader"] is NSNull)
        #expect(first["previous"] is NSNull)
        let whole = try json(try await cluster.controller.map())
        #expect(Set(whole.keys) == ["cluster", "epoch", "policy", "nodes", "partitions"])
    }

    @Test func nodesComeWithTheirProblemsFirst() async throws {
        var cluster = try await started()
        try cluster.stop("worker3")
        try await cluster.run(4000)
        let answer = await cluster.controller.nodes()
        #expect(answer.nodes.map(\.name) == ["worker3", "worker1", "worker2", "worker4"])
        #expect(answer.nodes.first?.state == .down)
        let node = try json(try await cluster.controller.node("worker1"))
        #expect(node["incarnation"] as? String == "3e8")
        #expect(node["replicas"] as? Int == 48)
        #expect(node["bytes_on_disk"] as? Int == 4096)
        #expect((node["partitions"] as? [Int])?.count == 48)
        #expect(node["last_heartbeat_ms_ago"] is Int)
        #expect(await cluster.controller.liveNodes().map(\.name) == ["worker1", "worker2", "worker4"])
    }

    @Test func configuredNodesThatNeverCameAreWaitedFor() async throws {
        var cluster = try FakeCluster(["worker1"], configured: four)
        try await cluster.run(1000)
        let states = await cluster.controller.nodes().nodes.map(\.state)
        #expect(states == [.waiting, .waiting, .waiting, .up])
        await #expect(throws: ControllerError.self) { try await cluster.controller.map() }
    }

    @Test func eventsHaveATimeAndNoEmptyKeys() async throws {
        let cluster = try await started()
        let events = await cluster.controller.events(limit: 1).events
        let event = try json(try #require(events.first))
        #expect(Set(event.keys) == ["id", "time", "kind", "severity", "message"])
        #expect((event["time"] as? String)?.hasPrefix("2026-01-01T00:00:0") == true)
        #expect(event["kind"] as? String == "cluster_created")
    }
}
