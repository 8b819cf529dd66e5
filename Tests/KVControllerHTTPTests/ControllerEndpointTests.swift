import Foundation
import KVController
import KVControllerHTTP
import KVProtocols
import Synchronization
import Testing

@Suite struct ControllerEndpointTests {
    @Test func `health answers as ever, with more`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            let answer = try await cluster.request(.get, "/health")
            #expect(answer.status == 200)
            #expect(answer.body == #"{"status":"controller up","verdict":"ok","workers_count":4}"# + "\n")
            #expect(answer.headers["content-security-policy"] == "default-src 'self'")
        }
    }

    @Test func `the map takes a key, decoded once`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            #expect(try await cluster.request(.get, "/map").body == "{\"epoch\":7}\n")
            #expect(try await cluster.request(.get, "/map?key=a%2Fb%2520+c").body == "{\"key\":\"a/b%20 c\"}\n")
            cluster.controller.script.withLock { $0.error = ControllerError(.notReady, "not yet") }
            let early = try await cluster.request(.get, "/map")
            #expect(early.status == 503)
            #expect(early.headers["retry-after"] == "1")
            cluster.controller.script.withLock { $0.error = ControllerError(.badKey, "no key") }
            let bad = try await cluster.request(.get, "/map?key=")
            #expect(bad.status == 400)
            #expect(bad.body.contains(#""code":"bad_key""#), "the word that nodes use")
        }
    }

    @Test func `operations on nodes are accepted, refused or unknown`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            #expect(try await cluster.request(.post, "/nodes/worker2/drain").status == 202)
            #expect(try await cluster.request(.post, "/nodes/worker2/undrain").status == 202)
            #expect(try await cluster.request(.delete, "/nodes/worker%202").status == 202)
            #expect(
                cluster.controller.script.withLock { $0.asked } == [
                    "drain worker2", "undrain worker2", "remove worker 2",
                ])
            cluster.controller.script.withLock { $0.error = ControllerError(.conflict, "too few") }
            #expect(try await cluster.request(.post, "/nodes/worker2/drain").status == 409)
            cluster.controller.script.withLock { $0.error = ControllerError(.unknownNode, "who") }
            #expect(try await cluster.request(.delete, "/nodes/x").status == 404)
            #expect(try await cluster.request(.get, "/nodes/x").status == 404)
            #expect(try await cluster.request(.get, "/nodes/worker1").status == 200)
            #expect(try await cluster.request(.get, "/nodes/worker1/drain").headers["allow"] == "POST")
            #expect(try await cluster.request(.post, "/nodes/worker1/explode").status == 404)
            let foreign = [("Origin", "http://evil.example")]
            #expect(try await cluster.request(.post, "/nodes/worker2/drain", foreign).status == 403)
        }
    }

    @Test func `an alarm about lost nodes can be acknowledged`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            let answer = try await cluster.request(.post, "/alarm/acknowledge")
            #expect(answer.status == 200)
            #expect(answer.body == #"{"acknowledged":["worker1","worker2"]}"# + "\n")
            #expect(cluster.controller.script.withLock { $0.asked } == ["acknowledge"])
            cluster.controller.script.withLock { $0.error = ControllerError(.conflict, "no alarm") }
            let none = try await cluster.request(.post, "/alarm/acknowledge")
            #expect(none.status == 409)
            #expect(none.body.contains(#""code":"conflict""#))
            #expect(try await cluster.request(.get, "/alarm/acknowledge").headers["allow"] == "POST")
            #expect(try await cluster.request(.post, "/alarm/acknowledge?node=x").status == 400)
            #expect(try await cluster.request(.post, "/alarm").status == 404)
            let foreign = [("Origin", "http://evil.example")]
            #expect(try await cluster.request(.post, "/alarm/acknowledge", foreign).status == 403)
        }
    }

    @Test func `a heartbeat is answered`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            let heartbeat = Heartbeat(
                name: "worker1", node: NodeID(0), cluster: 0, incarnation: 1, boot: 1, durable: 0, address: "a:1",
                peerAddress: "a:2", zone: "", mapEpoch: 0, backend: "memory", health: .init(ok: true), keys: 0,
                bytesOnDisk: 0, leading: [], version: "0.1.0")
            let body = String(decoding: try JSONEncoder().encode(heartbeat), as: UTF8.self)
            let answer = try await cluster.request(.post, "/internal/heartbeat", body: body)
            #expect(answer.status == 200)
            let reply = try JSONDecoder().decode(HeartbeatReply.self, from: Data(answer.body.utf8))
            #expect(reply == HeartbeatReply(verdict: .welcome, cluster: 9, node: NodeID(1)))
            #expect(try await cluster.request(.post, "/internal/heartbeat", body: "{}").status == 400)
            let large = String(repeating: " ", count: (4 << 20) + 1)
            #expect(try await cluster.request(.post, "/internal/heartbeat", body: large).status == 413)
            cluster.controller.script.withLock { $0.error = ControllerError(.unavailable, "no disk") }
            #expect(try await cluster.request(.post, "/internal/heartbeat", body: body).status == 503)
        }
    }

    @Test func `events come as JSON`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            for id in 1...3 { cluster.controller.record(UInt64(id)) }
            let answer = try await cluster.request(.get, "/events?after=1&limit=1")
            #expect(answer.body.hasPrefix(#"{"events":[{"id":2,"kind":"node_up""#))
            #expect(try await cluster.request(.get, "/events?limit=1001").status == 400)
        }
    }

    @Test func `events stream on from the last one seen`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            for id in 1...3 { cluster.controller.record(UInt64(id)) }
            let headers = [("Accept", "text/event-stream"), ("Last-Event-ID", "1")]
            let (type, text) = try await cluster.stream("/events?after=0", headers) { text in
                if text.contains("id: 3\n"), !text.contains("id: 4\n") { cluster.controller.record(4) }
                return text.contains("id: 4\n")
            }
            #expect(type == "text/event-stream")
            #expect(text.contains("id: 2\nevent: node_up\ndata: {\"id\":2,"))
            #expect(!text.contains("id: 1\n"))
            let bad = try await cluster.request(
                .get, "/events", [("Accept", "text/event-stream"), ("Last-Event-ID", "x")])
            #expect(bad.status == 400)
        }
    }

    @Test func `the state streams at once and on change`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            let (type, text) = try await cluster.stream("/stream") { text in
                cluster.controller.script.withLock { $0.verdict = "degraded" }
                return text.contains("degraded")
            }
            #expect(type == "text/event-stream")
            let state = try #require(text.split(separator: "\n").first { $0.hasPrefix("data: ") }).dropFirst(6)
            let members = try #require(
                try JSONSerialization.jsonObject(with: Data(state.utf8)) as? [String: Any])
            #expect(members["health"] is [String: Any])
            #expect((members["nodes"] as? [[String: Any]])?.first?["name"] as? String == "worker1")
            #expect(members["partitions"] is [Any])
            #expect(members["work"] as? [[String: Int]] == [["partitions_left": 3]])
            #expect(text.hasPrefix("event: state\n"))
        }
    }

    @Test func `the page and its files have tags`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            let page = try await cluster.request(.get, "/")
            #expect(page.status == 200)
            #expect(page.headers["content-type"] == "text/html; charset=utf-8")
            #expect(page.headers["cache-control"] == "no-cache")
            let tag = try #require(page.headers["etag"])
            #expect(try await cluster.request(.get, "/", [("If-None-Match", tag)]).status == 304)
            #expect(try await cluster.request(.head, "/").body.isEmpty)
            #expect(try await cluster.request(.put, "/", body: "x").status == 405)
            #expect(try await cluster.request(.get, "/..%2fetc/passwd").status == 404)
        }
    }

    @Test func `metrics, version and liveness answer`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            let metrics = try await cluster.request(.get, "/metrics").body
            #expect(metrics.contains("kv_partitions{state=\"leaderless\"} 1\n"))
            #expect(try await cluster.request(.get, "/version").body.contains("\"protocol\":1"))
            #expect(try await cluster.request(.get, "/livez").status == 200)
            #expect(try await cluster.request(.get, "/readyz").status == 200)
            #expect(try await cluster.request(.get, "/health?x=1").status == 400)
            #expect(try await cluster.request(.patch, "/nodes").status == 405)
            #expect(try await cluster.request(.get, "/nowhere").headers["content-type"] == "application/problem+json")
        }
    }
}
