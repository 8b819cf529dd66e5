import KVProtocols
import KVReplication
import Testing

@testable import KVHTTP

/// Pages of other sites can let a name of theirs point to this machine.
@Suite struct HostTests {
    @Test(arguments: ["evil.example", "evil.example:8001", "localhost.evil.example", "127.0.0.1.evil.example", "a.b."])
    func `requests to a foreign name are refused, reads too`(host: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("v".utf8))))
            for target in ["/kv/k", "/kv/k?timeout=100", "/keys", "/health"] {
                let answer = try await http.send(
                    Array("GET \(target) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n".utf8))
                #expect(answer.status == 403)
                #expect(answer.body.contains("foreign_host"))
                #expect(answer.body.contains("cluster.hosts"))
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
            #expect(node.operations.isEmpty)
        }
    }

    @Test(arguments: [
        "127.0.0.1", "127.0.0.1:8001", "[::1]:8001", "[::1]", "10.1.2.3", "localhost", "LOCALHOST:80", "app.localhost",
        "worker1", "worker1:8001", "kv.example.com", "KV.example.com:8001", "kv.example.com.",
    ])
    func `requests to addresses, local and configured names are answered`(host: String) async throws {
        try await withServer(hosts: ["kv.Example.com"]) { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("v".utf8))))
            let text = "GET /kv/k HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n"
            #expect(try await http.send(Array(text.utf8)).status == 200)
        }
    }

    @Test func `a connection may not change to a foreign name`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("v".utf8))))
            let text =
                "GET /kv/k HTTP/1.1\r\nHost: x\r\n\r\n"
                + "GET /kv/k HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
            let answer = String(decoding: try await http.sendRaw(Array(text.utf8)), as: UTF8.self)
            #expect(answer.contains("HTTP/1.1 200"))
            #expect(answer.contains("HTTP/1.1 403"))
            #expect(node.operations.count == 1)
        }
    }

    @Test(arguments: ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: evil.example\r\n"])
    func `a request names one host`(fields: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            let answer = try await http.send(Array("GET /kv/k HTTP/1.1\r\n\(fields)Connection: close\r\n\r\n".utf8))
            #expect(answer.status == 400)
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `HTTP 1·0 needs no host`() async throws {
        try await withServer { (http: RawHTTP, _: ScriptedNode) async throws in
            #expect(try await http.send(Array("GET /livez HTTP/1.0\r\nConnection: close\r\n\r\n".utf8)).status == 200)
        }
    }
}
