import KVHTTP
import KVProtocols
import KVReplication
import Testing

@Suite struct HostileRequestTests {
    @Test(arguments: [
        ("/kv/a%2Fb", "a/b"), ("/kv/a/b", "a/b"), ("/kv//a", "/a"), ("/kv/a//b/", "a//b/"), ("/kv/..", ".."),
        ("/kv/%2e%2e/%2e%2e/etc/passwd", "../../etc/passwd"), ("/kv/../x", "../x"), ("/kv/a%252Fb", "a%2Fb"),
        ("/kv/a+b", "a+b"), ("/kv/a%20b", "a b"), ("/kv/%3Cscript%3E", "<script>"), ("/kv/a%0D%0Ab", "a\r\nb"),
        ("/kv/%E2%82%AC", "€"), ("/kv/%3F%23", "?#"), ("/kv/health", "health"),
        ("http://elsewhere/kv/absolute", "absolute"),
    ])
    func `a key is decoded exactly once and never normalised`(target: String, key: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of(key, Array("v".utf8))))
            let answer = try await http("GET", target)
            #expect(answer.status == 200)
            #expect(node.operations == [.get(.of(key))])
        }
    }

    @Test(arguments: ["/kv/", "/kv/%00", "/kv/a%00b", "/kv/%FF", "/kv/%", "/kv/%4", "/kv/%zz", "/kv/%C0%AF"])
    func `what is no key is refused`(target: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            let answer = try await http("GET", target)
            #expect(answer.status == 400)
            #expect(answer.body.contains("bad_key"))
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `keys have at most 480 bytes`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", [])))
            #expect(try await http("GET", "/kv/" + String(repeating: "k", count: 480)).status == 200)
            #expect(try await http("GET", "/kv/" + String(repeating: "k", count: 481)).status == 400)
        }
    }

    @Test func `keys with line ends never reach a header`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let answer = try await http("PUT", "/kv/a%0D%0AX-Evil:%201", body: "v")
            #expect(answer.status == 200)
            #expect(answer.headers["x-evil"] == nil)
            #expect(answer.body.contains(#""key":"a\r\nX-Evil: 1""#))
        }
    }

    @Test(arguments: [
        (#"{"value":"#, "byte 9"), (#"{"value":"a","value":"b"}"#, "appears twice"), (#"{"value":1}"#, "a string"),
        (#"{"value":"a"} x"#, "after the JSON"), (#"{"other":"a"}"#, "unknown member"), ("{}", "is missing"),
        (#"{"value":"\ud800"}"#, "surrogate"), (#"{"value":"\udc00"}"#, "surrogate"), ("[]", "an object"),
        ("{\"value\":\"a\nb\"}", "control character"), (#"{"value":"a","ttl":0}"#, "ttl"), ("", "byte 0"),
        (#"{"value":"a","ttl":1e400}"#, "too large"), (#"{"value":"a","encoding":"rot13"}"#, "encoding"),
        (#"{"value":"a=","encoding":"base64"}"#, "base64"), (#"{"value":"a",}"#, "member name"),
        ("{\n\"value\" 1}", "line 2, column 9"),
    ])
    func `malformed JSON is refused with its place`(body: String, hint: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            let answer = try await http.json("PUT", "/kv/a", body)
            #expect(answer.status == 400)
            #expect(answer.body.contains(hint), "\(answer.body)")
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `five megabytes are too much, announced or not`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            let large = String(repeating: "v", count: 5_000_000)
            #expect(try await http("PUT", "/kv/a", body: large).status == 413)
            #expect(try await http.json("PUT", "/kv/a", "{\"value\":\"\(large)\"}").status == 413)
            let one = try await http("PUT", "/kv/a", body: String(repeating: "v", count: (1 << 20) + 1))
            #expect(one.status == 413)
            #expect(one.headers["content-type"] == "application/problem+json")
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `a value of exactly the limit is taken`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            #expect(try await http("PUT", "/kv/a", body: String(repeating: "v", count: 1 << 20)).status == 200)
        }
    }

    @Test func `a chunked body without end is cut off`() async throws {
        let limits = HTTPServerLimits(maximumDiscardedLength: 1 << 20)
        try await withServer(limits: limits) { (http: RawHTTP, node: ScriptedNode) async throws in
            var request = "PUT /kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            let chunk = "10000\r\n" + String(repeating: "v", count: 65_536) + "\r\n"
            for _ in 0..<400 { request += chunk }
            let bytes = Array(request.utf8)
            // The server closes while bytes are still coming: the answer may be lost with them, the end may not.
            let answer = RawHTTP.parse(String(decoding: try await http.sendRaw(bytes), as: UTF8.self))
            #expect(answer == nil || answer?.status == 413)
            #expect(node.operations.isEmpty)
        }
    }

    @Test(arguments: [
        "GET /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /kv/a b HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n", "GET /kv/a HTTP/1.1\r\nBad Name: x\r\n\r\n",
        "GET /kv/a HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    ])
    func `what is no HTTP is answered with 400 and the end`(request: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            let answer = try await http.send(Array(request.utf8))
            #expect(answer.status == 400)
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.headers["connection"] == "close")
            #expect(answer.headers["date"]?.hasSuffix("GMT") == true)
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `too many and too long header fields are answered with 431`() async throws {
        try await withServer { (http: RawHTTP, _: ScriptedNode) async throws in
            let many = (0..<200).map { "X-\($0): v\r\n" }.joined()
            for path in ["/livez", "/kv/a"] {
                let request = "GET \(path) HTTP/1.1\r\nHost: x\r\n\(many)\r\n"
                #expect(try await http.send(Array(request.utf8)).status == 431)
            }
            let long = String(repeating: "v", count: 40_000)
            #expect(
                try await http.send(Array("GET /kv/a HTTP/1.1\r\nHost: x\r\nX: \(long)\r\n\r\n".utf8)).status == 431)
        }
    }

    @Test func `a client that waits before it sends is told to go on`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let text =
                "PUT /kv/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nv"
            let answer = String(decoding: try await http.sendRaw(Array(text.utf8)), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 100"))
            #expect(answer.contains("HTTP/1.1 200"))
        }
    }

    @Test func `a request that does not arrive ends its connection`() async throws {
        try await withServer(limits: HTTPServerLimits(idleTimeout: .milliseconds(200))) {
            (http: RawHTTP, _: ScriptedNode) async throws in
            #expect(try await http.sendRaw(Array("GET /kv/a HTT".utf8)).isEmpty)
            #expect(
                try await http.sendRaw(Array("PUT /kv/a HTTP/1.1\r\nContent-Length: 5\r\n\r\nab".utf8)).count < 2_000)
        }
    }

    @Test func `requests from foreign pages and forms are refused`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: 1))
            #expect(try await http("PUT", "/kv/a", ["Origin": "http://evil.example"], body: "v").status == 403)
            #expect(try await http("DELETE", "/kv/a", ["Origin": "null"]).status == 403)
            let form = ["Content-Type": "application/x-www-form-urlencoded"]
            #expect(try await http("POST", "/kv/a/increment", form, body: "a=b").status == 415)
            #expect(try await http("POST", "/batch", ["Content-Type": "text/plain"], body: "{}").status == 415)
            #expect(node.operations.isEmpty)
            let own = ["Origin": "http://localhost:\(http.port)"]
            #expect(try await http("PUT", "/kv/a", own, body: "v").status == 200)
            node.answer(.value(.of("a", [])))
            #expect(try await http("GET", "/kv/a", ["Origin": "http://evil.example"]).status == 200)
        }
    }

    @Test(arguments: ["/", "/nothing", "/kv", "/keys/", "/watch", "/kv/missing", "/debug/pprof", "*"])
    func `every answer carries the security fields`(target: String) async throws {
        try await withServer { (http: RawHTTP, _: ScriptedNode) async throws in
            let answer = try await http("GET", target)
            #expect(answer.status == 404)
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            #expect(answer.headers["content-security-policy"] == "default-src 'self'")
            #expect(answer.headers["referrer-policy"] == "no-referrer")
            #expect(answer.headers["x-frame-options"] == "DENY")
            #expect(answer.headers["x-request-id"] != nil)
            #expect(answer.headers["date"]?.hasSuffix("GMT") == true)
            #expect(answer.headers["content-type"] == "application/problem+json")
        }
    }

    @Test(arguments: [
        ("PATCH", "/kv/a", "GET, HEAD, PUT, DELETE"), ("POST", "/kv/a", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/keys", "GET, HEAD"), ("GET", "/batch", "POST"), ("DELETE", "/health", "GET, HEAD"),
    ])
    func `wrong methods name the right ones`(method: String, target: String, allowed: String) async throws {
        try await withServer { (http: RawHTTP, _: ScriptedNode) async throws in
            let answer = try await http(method, target)
            #expect(answer.status == 405)
            #expect(answer.headers["allow"] == allowed)
        }
    }

    @Test(arguments: [
        "/kv/a?timeout=0", "/kv/a?timeout=60001", "/kv/a?timeout=x", "/kv/a?color=red", "/kv/a?consistency=eventual",
        "/kv/a?timeout=1&timeout=2", "/kv/a?%zz=1", "/keys?limit=0", "/keys?limit=1001", "/keys?cursor=!",
        "/keys?delimiter=", "/health?x=1", "/replicas",
    ])
    func `queries are strict`(target: String) async throws {
        try await withServer { (http: RawHTTP, _: ScriptedNode) async throws in
            #expect(try await http("GET", target).status == 400)
        }
    }

    @Test(arguments: ["has space", "line", String(repeating: "x", count: 65), "<script>"])
    func `an unfit request id is replaced`(id: String) async throws {
        try await withServer { (http: RawHTTP, _: ScriptedNode) async throws in
            let answer = try await http("GET", "/livez", ["X-Request-Id": id])
            #expect((answer.headers["x-request-id"] == id) == (id == "line"))
        }
    }
}
