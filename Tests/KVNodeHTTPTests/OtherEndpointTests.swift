import KVHTTP
import KVNode
import KVNodeHTTP
import KVProtocols
import KVReplication
import Logging
import NIOPosix
import Synchronization
import Testing

@Suite struct OtherEndpointTests {
    @Test func `keys come in pages with a cursor`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.script.withLock { $0.keys = ["a", "b", "c"].map(Key.of) }
            let first = try await http("GET", "/keys?limit=2&values=true")
            #expect(first.status == 200)
            #expect(first.body.contains(#"{"key":"a","value":"a","version":"3.2.17"}"#))
            #expect(first.body.contains(#""next_cursor":"Yg""#))
            let second = try await http("GET", "/keys?limit=2&cursor=Yg")
            #expect(
                second.body
                    == #"{"keys":[{"key":"c","version":"3.2.17"}],"prefixes":[],"next_cursor":null,"incomplete":[]}"#
                    + "\n")
        }
    }

    @Test func `a delimiter groups keys as folders`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.script.withLock { $0.keys = ["a/1", "a/2", "a/3", "b", "c/x/y", "d"].map(Key.of) }
            let all = try await http("GET", "/keys?delimiter=/&limit=4")
            #expect(all.body.contains(#""prefixes":["a/","c/"],"next_cursor":null"#))
            #expect(all.body.contains(#"[{"key":"b","version":"3.2.17"},{"key":"d","version":"3.2.17"}]"#))
            let one = try await http("GET", "/keys?delimiter=/&limit=1")
            #expect(one.body.contains(#""keys":[],"prefixes":["a/"]"#))
            let inside = try await http("GET", "/keys?delimiter=%2F&prefix=c/")
            #expect(inside.body.contains(#""prefixes":["c/x/"]"#))
        }
    }

    @Test func `partitions without an answer are named`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.script.withLock { $0.incomplete = [PartitionID(9), PartitionID(4)] }
            #expect(try await http("GET", "/keys").status == 503)
            node.script.withLock { $0.keys = [.of("a")] }
            #expect(try await http("GET", "/keys?consistency=local").body.contains(#""incomplete":[4,9]"#))
            #expect(node.script.withLock { $0.lists.map(\.localOnly) } == [false, true])
        }
    }

    @Test func `a batch answers each operation`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let answer = try await http.json(
                "POST", "/batch",
                #"{"operations":[{"op":"put","key":"a","value":"1"},{"op":"delete","key":"a"},{"op":"put","key":"b","value":"2"}]}"#
            )
            #expect(answer.status == 200)
            #expect(
                answer.body.contains(#"{"op":"put","key":"a","status":200,"version":"3.2.17","acks":2,"required":2}"#))
            #expect(answer.body.contains(#"{"op":"delete","key":"a","status":204"#))
            let onA = node.operations.filter { $0.key == .of("a") }
            #expect(onA == [.put(.of("a"), value: [49], expiresAt: 0, .none), .delete(.of("a"), .none)])
            node.answer(.unknown(acked: 1, required: 2))
            let unknown = try await http.json("POST", "/batch", #"{"operations":[{"op":"delete","key":"a"}]}"#)
            #expect(unknown.body.contains(#""status":504"#))
            #expect(unknown.body.contains(#""outcome":"unknown""#))
        }
    }

    @Test(arguments: [
        #"{"operations":[{"op":"put","key":"a"}]}"#, #"{"operations":[{"op":"get","key":""}]}"#, "{}",
        #"{"operations":[{"op":"fly","key":"a"}]}"#, #"{"operations":[{"op":"get","key":"a","value":"x"}]}"#,
        "{\"operations\":[" + (0...1_000).map { _ in #"{"op":"get","key":"a"}"# }.joined(separator: ",") + "]}",
    ])
    func `a malformed batch does nothing`(body: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            #expect(try await http.json("POST", "/batch", body).status == 400)
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `replicas are compared with the leader`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            #expect(try await http("GET", "/replicas?key=a").status == 503)
            let (old, new) = (Record.of("a", [1]), Record(key: .of("a"), version: .two, value: [1, 2]))
            node.script.withLock {
                $0.replicas = ReplicasReply(
                    partition: PartitionID(3), leader: "worker1",
                    replicas: [
                        .init(node: "worker1", isLeader: true, state: .ok, record: new),
                        .init(node: "worker2", isLeader: false, state: .ok, record: old),
                        .init(node: "worker3", isLeader: false, state: .unreachable, record: nil),
                    ])
            }
            let answer = try await http("GET", "/replicas?key=a")
            #expect(answer.status == 200)
            #expect(answer.body.contains(#"{"node":"worker1","role":"leader","state":"ok","agrees":true"#))
            #expect(answer.body.contains(#"{"node":"worker2","role":"member","state":"ok","agrees":false"#))
            #expect(answer.body.contains(#"{"node":"worker3","role":"member","state":"unreachable","agrees":false}"#))
            node.script.withLock {
                $0.replicas.replicas = [.init(node: "worker1", isLeader: true, state: .missing, record: nil)]
            }
            #expect(try await http("GET", "/replicas?key=a").status == 404)
        }
    }

    @Test func `health, readiness and version tell how the node is`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            #expect(try await http("GET", "/health").body.contains(#""verdict":"ok""#))
            #expect(try await http("GET", "/version").body == #"{"version":"0.1.0","protocol":1}"# + "\n")
            #expect(try await http("GET", "/readyz").status == 200)
            node.script.withLock {
                $0.isReady = false
                $0.reasons = ["the disk is gone"]
            }
            #expect(try await http("GET", "/livez").status == 200)
            #expect(try await http("GET", "/readyz").status == 503)
            let health = try await http("GET", "/health")
            #expect(health.status == 503)
            #expect(health.body.contains("the disk is gone"))
        }
    }

    @Test func `metrics are Prometheus text with closed labels`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            _ = try await http("GET", "/kv/secret-key")
            let metrics = try await http("GET", "/metrics")
            #expect(metrics.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            #expect(metrics.body.contains("\nkv_map_epoch 7\n"))
            #expect(metrics.body.contains("# TYPE kv_elections_won_total counter\n"))
            #expect(metrics.body.contains("kv_http_requests_total{route=\"kv\",status=\"4xx\"} 1\n"))
            #expect(metrics.body.contains("kv_http_request_duration_seconds_bucket{route=\"kv\",le=\"+Inf\"} 1\n"))
            #expect(!metrics.body.contains("secret-key"))
        }
    }

    @Test func `an address in use is named`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            let second = NodeHTTPServer(
                service: node, host: "127.0.0.1", port: http.port,
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
                logger: Logger(label: "test"))
            await #expect(throws: HTTPServerError.self) { try await second.run() }
        }
    }
}
