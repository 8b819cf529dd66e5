import Hummingbird
import KVHTTP
import Synchronization
import Testing

@Suite struct PassThroughTests {
    private static func echo(_ name: String) -> FakeNode {
        FakeNode(name) { seen in
            Response(
                status: .ok, headers: [.eTag: "\"1.2.3\"", .kvServedBy: name, .contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: "\(seen.method) \(seen.target) \(seen.body)")))
        }
    }

    @Test(arguments: [
        ("/kv/a", "/kv/a"), ("/kv/a%2Fb//c/", "/kv/a%2Fb//c/"), ("/kv/%2e%2e/x", "/kv/%2e%2e/x"),
        ("/kv/a%2520", "/kv/a%2520"), ("/keys?prefix=a%26b&limit=5", "/keys?prefix=a%26b&limit=5"),
        ("/kv/a?node=worker1&timeout=100", "/kv/a?timeout=100"), ("/kv/a?node=worker1", "/kv/a"),
        ("/kv/a?consistency=local&node=worker1", "/kv/a?consistency=local&node=worker1"),
        ("/replicas?key=a%2Fb", "/replicas?key=a%2Fb"),
    ])
    func `targets arrive as they were sent`(target: String, arrived: String) async throws {
        let node = PassThroughTests.echo("worker1")
        try await withCluster(nodes: [node]) { (cluster: Cluster) async throws in
            let answer = try await cluster.request(.get, target)
            #expect(answer.status == 200)
            #expect(node.seen.withLock { $0.map(\.target) } == [arrived])
        }
    }

    @Test func `bodies, conditions and answers pass`() async throws {
        let node = PassThroughTests.echo("worker1")
        try await withCluster(nodes: [node]) { (cluster: Cluster) async throws in
            let headers = [("Content-Type", "application/json"), ("If-Match", "\"1.1.1\""), ("X-Request-Id", "mine")]
            let answer = try await cluster.request(.put, "/kv/a", headers, body: "{\"value\":\"v\"}")
            #expect(answer.body == "PUT /kv/a {\"value\":\"v\"}")
            #expect(answer.headers["etag"] == "\"1.2.3\"")
            #expect(answer.headers["kv-served-by"] == "worker1")
            #expect(answer.headers["x-request-id"] == "mine")
            let seen = node.seen.withLock { $0[0] }
            #expect(seen.headers[.ifMatch] == "\"1.1.1\"")
            #expect(seen.headers[.requestID] == "mine")
            #expect(try await cluster.request(.delete, "/kv/a").status == 200)
            #expect(try await cluster.request(.head, "/kv/a").body.isEmpty)
            #expect(try await cluster.request(.patch, "/kv/a").status == 405)
        }
    }

    @Test func `long answers are streamed whole`() async throws {
        let text = String(repeating: "0123456789", count: 300_000)
        let node = FakeNode("worker1") { _ in
            Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        }
        try await withCluster(nodes: [node]) { (cluster: Cluster) async throws in
            #expect(try await cluster.request(.get, "/kv/a").body == text)
        }
    }

    @Test func `a body over the limit is refused here`() async throws {
        let node = PassThroughTests.echo("worker1")
        try await withCluster(nodes: [node]) { (cluster: Cluster) async throws in
            let large = String(repeating: "v", count: 5_000_000)
            #expect(try await cluster.request(.put, "/kv/a", body: large).status == 413)
            #expect(node.seen.withLock { $0.isEmpty })
        }
    }

    @Test func `a node's problem stays what it is`() async throws {
        let node = FakeNode("worker1") { _ in throw Problem.serviceUnavailable("electing", "soon") }
        try await withCluster(nodes: [node]) { (cluster: Cluster) async throws in
            let answer = try await cluster.request(.put, "/kv/a", [("X-Request-Id", "r1")], body: "v")
            #expect(answer.status == 503)
            #expect(answer.headers["retry-after"] == "1")
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.body.contains(#""request_id":"r1""#))
        }
    }

    @Test func `nodes that refuse connections are skipped, also for writes`() async throws {
        let node = PassThroughTests.echo("worker3")
        try await withCluster(nodes: [node], unreachable: ["worker1", "worker2"]) { (cluster: Cluster) async throws in
            for _ in 0..<3 {
                #expect(try await cluster.request(.put, "/kv/a", body: "v").status == 200)
                #expect(try await cluster.request(.get, "/kv/a").status == 200)
            }
            #expect(node.seen.withLock { $0.count } == 6)
            let chosen = try await cluster.request(.get, "/kv/a?node=worker1")
            #expect(chosen.status == 503)
            #expect(chosen.body.contains("not_applied"))
            #expect(try await cluster.request(.get, "/kv/a?node=stranger").status == 404)
            #expect(try await cluster.request(.get, "/kv/a?node=worker9").status == 503)
        }
    }

    @Test func `without nodes there is nobody to ask`() async throws {
        try await withCluster { (cluster: Cluster) async throws in
            #expect(try await cluster.request(.get, "/keys").body.contains("no_nodes"))
        }
    }

    @Test func `a broken read goes to the next node, a broken write is unknown and sent once`() async throws {
        struct Broken: Error {}
        let broken = FakeNode("worker1") { _ in
            Response(status: .ok, body: ResponseBody(contentLength: 10) { _ in throw Broken() })
        }
        let whole = PassThroughTests.echo("worker2")
        try await withCluster(nodes: [broken, whole]) { (cluster: Cluster) async throws in
            for _ in 0..<2 { #expect(try await cluster.request(.get, "/kv/a").status == 200) }
            let write = try await cluster.request(.put, "/kv/a?node=worker1", body: "v")
            #expect(write.status == 504)
            #expect(write.body.contains(#""outcome":"unknown""#))
            #expect(broken.seen.withLock { $0.count { $0.method == "PUT" } } == 1)
            #expect(whole.seen.withLock { $0.count { $0.method == "PUT" } } == 0)
        }
    }
}
