import KVHTTP
import KVProtocols
import KVReplication
import Testing

/// What is particular to the shortcut; that it answers like the general path is shown by every other suite, which runs
/// against both.
@Suite struct ShortcutTests {
    /// The `X-Request-Id` of each answer, in the order of the answers.
    private func ids(_ bytes: [UInt8]) -> [String] {
        String(decoding: bytes, as: UTF8.self).split(separator: "\r\n").compactMap { line in
            line.lowercased().hasPrefix("x-request-id: ") ? String(line.dropFirst("x-request-id: ".count)) : nil
        }
    }

    @Test func `answers come in the order of the requests, whichever way these go`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("v".utf8))))
            let targets = [
                "/kv/a", "/kv/b", "/livez", "/kv/c", "/kv/d?timeout=100", "/kv/e", "/kv/f", "/version", "/livez",
                "/kv/g",
            ]
            var text = ""
            for (index, target) in targets.enumerated() {
                let end = index == targets.count - 1 ? "Connection: close\r\n" : ""
                text += "GET \(target) HTTP/1.1\r\nHost: x\r\nX-Request-Id: r\(index)\r\n\(end)\r\n"
            }
            let answer = try await http.sendRaw(Array(text.utf8))
            #expect(ids(answer) == targets.indices.map { "r\($0)" })
            #expect(node.operations == ["a", "b", "c", "d", "e", "f", "g"].map { Operation.get(.of($0)) })
        }
    }

    @Test func `thousands of requests sent at once are all answered`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            var text = ""
            for index in 0..<3_000 {
                text += "PUT /kv/k HTTP/1.1\r\nHost: x\r\nX-Request-Id: r\(index)\r\nContent-Length: 1\r\n\r\nv"
            }
            text += "DELETE /kv/k HTTP/1.1\r\nHost: x\r\nX-Request-Id: last\r\nConnection: close\r\n\r\n"
            let answer = try await http.sendRaw(Array(text.utf8))
            #expect(ids(answer) == (0..<3_000).map { "r\($0)" } + ["last"])
            #expect(node.operations.count == 3_001)
        }
    }

    /// Bodies that look like requests, a body that only the parser can delimit, and the shortcut's requests between them.
    @Test(arguments: [1, 3, 50, 10_000])
    func `requests that come in pieces are the same requests`(piece: Int) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let inner = "PUT /kv/never HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            let length = String(inner.utf8.count, radix: 16)
            let batch = #"{"operations": [{"op": "get", "key": "k"}]}"#
            let requests = [
                ("PUT /kv/a", "Content-Length: \(inner.utf8.count)\r\n", inner),
                ("POST /batch", "Content-Type: application/json\r\nContent-Length: \(batch.utf8.count)\r\n", batch),
                ("PUT /kv/b?timeout=4000", "Content-Length: \(inner.utf8.count)\r\n", inner), ("DELETE /kv/c", "", ""),
                ("PUT /kv/d", "Transfer-Encoding: chunked\r\n", "\(length)\r\n\(inner)\r\n0\r\n\r\n"),
                ("PUT /kv/e", "Content-Length: 1\r\nConnection: close\r\n", "v"),
            ]
            var text = ""
            for (index, (line, fields, body)) in requests.enumerated() {
                text += "\(line) HTTP/1.1\r\nHost: x\r\nX-Request-Id: r\(index)\r\n\(fields)\r\n\(body)"
            }
            let bytes = Array(text.utf8)
            let answer = try await http.connected { connection in
                for start in stride(from: 0, to: bytes.count, by: piece) {
                    connection.send(Array(bytes[start..<min(start + piece, bytes.count)]))
                }
                return connection.receive(upTo: .max)
            }
            #expect(ids(answer) == requests.indices.map { "r\($0)" })
            #expect(!node.operations.contains { $0.key == .of("never") })
            #expect(node.operations.count == 6)
        }
    }

    @Test func `a body that does not come in time is refused`() async throws {
        let limits = HTTPServerLimits(bodyTimeout: .zero)
        try await withServer(usesShortcut: true, limits: limits) { (http: RawHTTP, node) async throws in
            let answer = try await http.connected { connection in
                connection.send("PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nv")
                return connection.receive(upTo: .max)
            }
            #expect(RawHTTP.parse(String(decoding: answer, as: UTF8.self))?.status == 408)
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `a body in pieces is put together`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let value = String(repeating: "0123456789", count: 6_000)
            #expect(try await http("PUT", "/kv/a", ["Content-Type": "text/plain"], body: value).status == 200)
            #expect(node.operations == [.put(.of("a"), value: Array(value.utf8), expiresAt: 0, .none)])
        }
    }

    @Test(arguments: [
        ["If-Match": "\"3.2.17\"", "if-match": "\"3.2.18\""],
        ["Connection": "keep-alive, close"], ["Upgrade": "h2c"],
    ])
    func `heads that need more than a look get the same answer the general way`(fields: [String: String]) async throws {
        var statuses: [Int] = []
        // Of "keep-alive, close" neither way closes at once.
        let limits = HTTPServerLimits(idleTimeout: .seconds(1))
        try await withServer(limits: limits) { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("v".utf8))))
            var text = "GET /kv/k HTTP/1.1\r\nHost: x\r\n"
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) { text += "\(name): \(value)\r\n" }
            if fields["Connection"] == nil { text += "Connection: close\r\n" }
            statuses.append(try await http.send(Array((text + "\r\n").utf8)).status)
        }
        #expect(statuses.count == 2)
        #expect(statuses.first == statuses.last)
    }
}
