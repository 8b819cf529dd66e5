import Testing

/// Requests that make no sense, sent to a node and through the controller: a clear answer each, and nothing is lost.
@Suite struct BadRequestTests {
    private struct Case {
        var method = "GET"
        var target: String
        var headers: [String: String] = [:]
        var body: String?
        var status: Int
        /// What the code starts with.
        var code: String
        /// What the explanation must contain.
        var says = ""
    }

    private static let json = ["Content-Type": "application/json"]

    private static let cases: [Case] = [
        Case(
            method: "PUT", target: "/kv/", headers: json, body: #"{"value":"x"}"#, status: 400, code: "bad_key",
            says: "empty"),
        Case(target: "/kv/", status: 400, code: "bad_key", says: "1 to 480"),
        Case(
            method: "PUT", target: "/kv/" + String(repeating: "k", count: 481), headers: json, body: #"{"value":"x"}"#,
            status: 400, code: "bad_key", says: "481"),
        Case(
            method: "PUT", target: "/kv/" + String(repeating: "%C3%A4", count: 241), headers: json,
            body: #"{"value":"x"}"#, status: 400, code: "bad_key", says: "482"),
        Case(
            method: "PUT", target: "/kv/a%00b", headers: json, body: #"{"value":"x"}"#, status: 400, code: "bad_key",
            says: "NUL"),
        Case(
            method: "PUT", target: "/kv/%FF", headers: json, body: #"{"value":"x"}"#, status: 400, code: "bad_key",
            says: "UTF-8"),
        Case(target: "/kv/%zz", status: 400, code: "bad_", says: "%"),
        Case(target: "/kv/%4", status: 400, code: "bad_", says: "%"),
        Case(
            method: "PUT", target: "/kv/safe", headers: json, body: #"{"value":"x""#, status: 400,
            code: "malformed_json", says: "line 1"),
        Case(
            method: "PUT", target: "/kv/safe", headers: json, body: "{\"value\":\n  x}", status: 400,
            code: "malformed_json", says: "line 2"),
        Case(method: "PUT", target: "/kv/safe", headers: json, body: "", status: 400, code: "malformed_json"),
        Case(
            method: "PUT", target: "/kv/safe", headers: ["Content-Type": "application/x-www-form-urlencoded"],
            body: "as curl -d sends it", status: 400, code: "malformed_json", says: "text/plain"),
        Case(
            method: "PUT", target: "/kv/safe", headers: json, body: "{}", status: 400, code: "malformed_json",
            says: "missing"),
        Case(
            method: "PUT", target: "/kv/safe", headers: json, body: #"{"value":"x","vlaue":"y"}"#, status: 400,
            code: "malformed_json", says: "vlaue"),
        Case(
            method: "PUT", target: "/kv/safe", headers: json, body: #"{"value":"x","ttl":-1}"#, status: 400,
            code: "malformed_json", says: "ttl"),
        Case(
            method: "PUT", target: "/kv/safe", headers: json, body: #"{"value":"?","encoding":"base64"}"#, status: 400,
            code: "malformed_json", says: "base64"),
        Case(
            method: "PUT", target: "/kv/safe?timeout=x", headers: json, body: #"{"value":"x"}"#, status: 400,
            code: "bad_parameter", says: "timeout"),
        Case(
            method: "PUT", target: "/kv/safe", headers: ["Content-Type": "application/json", "If-Match": "1"],
            body: #"{"value":"x"}"#, status: 400, code: "bad_condition"),
        Case(
            method: "POST", target: "/kv/safe/increment", headers: json, body: "{}", status: 409, code: "not_a_number"),
        Case(target: "/keys?limit=1001", status: 400, code: "bad_parameter", says: "limit"),
        Case(target: "/keys?cursor=!", status: 400, code: "bad_cursor"),
        Case(target: "/keys?perfix=a", status: 400, code: "unknown_parameter", says: "perfix"),
        Case(target: "/kv", status: 404, code: "unknown_path", says: "/kv"),
        Case(target: "/nothing/here", status: 404, code: "unknown_path", says: "/nothing/here"),
        Case(target: "/kv/absent", status: 404, code: "not_found"),
        Case(
            method: "POST", target: "/kv/safe", headers: json, body: "{}", status: 405, code: "method_not_allowed",
            says: "PUT"),
        Case(
            method: "PATCH", target: "/kv/safe", headers: json, body: "{}", status: 405, code: "method_not_allowed",
            says: "PUT"),
        Case(
            method: "PUT", target: "/keys", headers: json, body: "{}", status: 405, code: "method_not_allowed",
            says: "GET"),
        Case(method: "DELETE", target: "/health", status: 405, code: "method_not_allowed", says: "GET"),
    ]

    @Test func `each bad request gets a clear answer and changes nothing`() async throws {
        try await Cluster.with { cluster in
            let node = cluster.node("worker1")
            let safe = try await node.put("safe", "kept")
            for server in [node, cluster.controller] {
                for bad in Self.cases {
                    let answer = try await server(
                        bad.method, bad.target, bad.headers, body: bad.body.map { Array($0.utf8) })
                    let what: Comment = "\(bad.method) \(bad.target.prefix(60)) at \(server.port): \(answer.text)"
                    #expect(answer.status == bad.status, what)
                    #expect(answer.headers["content-type"] == "application/problem+json", what)
                    #expect(answer.json["code"].string?.hasPrefix(bad.code) == true, what)
                    #expect(answer.json["status"].integer == bad.status, what)
                    #expect(answer.json["detail"].string?.contains(bad.says) == true, what)
                    #expect(answer.json["request_id"].string?.isEmpty == false, what)
                    #expect((answer.headers["allow"] != nil) == (bad.status == 405), what)
                }
                for length in [5 << 20, (1 << 20) + 1] {
                    for type in ["application/json", "application/octet-stream"] {
                        let value = [UInt8](repeating: UInt8(ascii: "v"), count: length)
                        let body =
                            type.hasSuffix("json") ? Array(#"{"value":""#.utf8) + value + Array(#""}"#.utf8) : value
                        let answer = try await server("PUT", "/kv/safe", ["Content-Type": type], body: body)
                        #expect(answer.status == 413, "\(length) bytes of \(type): \(answer.text)")
                        #expect(answer.json["outcome"].string == "not_applied")
                    }
                }
            }
            for server in cluster.servers() {
                let answer = try await server.get("/kv/safe")
                #expect(answer.json["value"].string == "kept")
                #expect(answer.etag == safe.etag)
                #expect(try await server.get("/readyz").status == 200)
            }
            let keys = try await node.get("/keys").json["keys"].list
            #expect(keys.compactMap { $0["key"].string } == ["safe"])
        }
    }

    @Test func `keys that look like paths are keys, and stay in the data folder`() async throws {
        try await Cluster.with { cluster in
            let longest = String(repeating: "k", count: 480)
            // What stands in the request, and the key that it means.
            let keys = [
                ("..", ".."), (".", "."), ("../../escape", "../../escape"), ("%2e%2e%2Fescape", "../escape"),
                ("a%2Fb", "a/b"), ("a//b", "a//b"), ("%2Fetc%2Fpasswd", "/etc/passwd"), ("%2525", "%25"),
                (".kv", ".kv"), ("a%20b+c", "a b+c"), ("%0d%0aX-Evil:%201", "\r\nX-Evil: 1"), ("%F0%9F%94%91", "🔑"),
                (longest, longest), ("con:*%3F%22%3C%3E%7C", "con:*?\"<>|"),
            ]
            for (index, (path, key)) in keys.enumerated() {
                let server = index % 2 == 0 ? cluster.node("worker1") : cluster.controller
                let put = try await server.put(path, "value \(index)")
                #expect(put.status == 200, "\(path): \(put.text)")
                #expect(put.headers["x-evil"] == nil)
                #expect(put.json["key"].string == key)
            }
            #expect(try await cluster.node("worker2").get("/kv/a/b").json["value"].string == "value 4")
            for (index, (path, key)) in keys.enumerated() {
                for server in [cluster.node("worker3"), cluster.controller] {
                    let get = try await server.get("/kv/\(path)")
                    #expect(get.json["value"].string == "value \(index)", "\(path): \(get.text)")
                    #expect(get.json["key"].string == key)
                }
            }
            let listed = try await cluster.node("worker4").get("/keys?limit=1000").json["keys"].list
            let expected = keys.map(\.1).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            #expect(listed.compactMap { $0["key"].string } == expected)

            for name in cluster.nodes { #expect(await cluster.stop(name) == 0) }
            let find = try await run(
                "/usr/bin/find", [cluster.folder, "-name", "*escape*"], log: "\(cluster.folder)/find")
            for path in find.output.split(separator: "\n") {
                #expect(path.contains("/data/worker"), "a key's file is outside of the data folders: \(path)")
            }
        }
    }
}
