import KVHTTP
import KVNode
import KVProtocols
import KVReplication
import Synchronization
import Testing

@Suite struct KeyEndpointTests {
    // MARK: Writing

    @Test func `a written value answers 200 with version, quorum and leader`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let answer = try await http.json("PUT", "/kv/mykey", #"{"value":"my\nvalue"}"#)
            #expect(answer.status == 200)
            #expect(answer.body == #"{"key":"mykey","version":"3.2.17","acks":2,"required":2}"# + "\n")
            #expect(answer.headers["etag"] == "\"3.2.17\"")
            #expect(answer.headers["kv-served-by"] == "worker1")
            #expect(answer.headers["kv-leader"] == "worker2")
            #expect(
                node.operations == [.put(.of("mykey"), value: Array("my\nvalue".utf8), expiresAt: 0, .none)])
            #expect(node.script.withLock { $0.timeouts } == [5_000])
        }
    }

    @Test func `curl's default content type counts as JSON and no content type as raw`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let form = ["Content-Type": "application/x-www-form-urlencoded"]
            #expect(try await http("PUT", "/kv/a", form, body: #"{"value":"v"}"#).status == 200)
            #expect(try await http("PUT", "/kv/b", body: #"{"value":"v"}"#).status == 200)
            #expect(
                node.operations == [
                    .put(.of("a"), value: Array("v".utf8), expiresAt: 0, .none),
                    .put(.of("b"), value: Array(#"{"value":"v"}"#.utf8), expiresAt: 0, .none),
                ])
        }
    }

    @Test func `base64 and time to live arrive decoded`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let before = wallMilliseconds()
            _ = try await http.json("PUT", "/kv/a?timeout=250", #"{"value":"/wA=","encoding":"base64","ttl":1.5}"#)
            _ = try await http("PUT", "/kv/b?ttl=60", ["Content-Type": "text/plain"], body: "raw")
            guard case .put(_, let value, let expiry, _) = node.operations[0] else {
                Issue.record("no put")
                return
            }
            #expect(value == [0xFF, 0x00])
            #expect(expiry >= before + 1_500)
            #expect(expiry <= wallMilliseconds() + 1_500)
            #expect(node.script.withLock { $0.timeouts } == [250, 5_000])
        }
    }

    @Test(arguments: [
        (["If-None-Match": "*"], Condition.absent),
        (["If-Match": "*"], .present),
        (["If-Match": "\"3.2.17\", \"3.2.18\""], .version([.one, .two])),
        (["If-Match": "W/\"3.2.17\""], .version([])),
        (["If-Match": "\"no version\""], .version([])),
    ])
    func `conditions reach the leader`(headers: [String: String], condition: Condition) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.two, acks: 2, required: 2, value: nil))
            let answer = try await http("PUT", "/kv/a", headers, body: "v")
            #expect(answer.status == (condition == .absent ? 201 : 200))
            #expect(node.operations == [.put(.of("a"), value: Array("v".utf8), expiresAt: 0, condition)])
        }
    }

    @Test(arguments: [
        ["If-Match": "unquoted"], ["If-None-Match": "\"3.2.17\""], ["If-Match": "*", "If-None-Match": "*"],
    ])
    func `malformed conditions are refused`(headers: [String: String]) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            #expect(try await http("PUT", "/kv/a", headers, body: "v").status == 400)
            #expect(node.operations.isEmpty)
        }
    }

    @Test func `deleting answers 204 with and without a value`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            #expect(try await http("DELETE", "/kv/a").status == 204)
            node.answer(.absent)
            let answer = try await http("DELETE", "/kv/a", ["If-Match": "\"3.2.17\""])
            #expect(answer.status == 204)
            #expect(answer.body.isEmpty)
            #expect(node.operations == [.delete(.of("a"), .none), .delete(.of("a"), .version([.one]))])
        }
    }

    @Test func `increment takes a step and gives the sum`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 3, required: 2, value: 42))
            let answer = try await http.json("POST", "/kv/a/b/increment", #"{"by":-2}"#)
            #expect(answer.status == 200)
            #expect(answer.body.contains(#""value":"42""#))
            #expect(try await http("POST", "/kv/increment/increment").status == 200)
            #expect(node.operations == [.increment(.of("a/b"), by: -2), .increment(.of("increment"), by: 1)])
        }
    }

    @Test func `a key that ends in increment is reached by the other methods`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("a/increment", Array("v".utf8))))
            #expect(try await http("GET", "/kv/a/increment").body.contains(#""key":"a/increment""#))
        }
    }

    // MARK: Reading

    @Test func `text is answered as text and other bytes as base64`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("<é\"\u{1}>".utf8), expiresAt: 9_999_999_999_999)))
            let text = try await http("GET", "/kv/k")
            #expect(text.status == 200)
            #expect(
                text.body == #"{"key":"k","value":"<é\"\u0001>","version":"3.2.17","expires_at":9999999999999}"# + "\n")
            #expect(text.headers["content-type"] == "application/json")
            node.answer(.value(.of("k", [0xFF, 0x00])))
            #expect(try await http("GET", "/kv/k").body.contains(#""value":"/wA=","encoding":"base64""#))
        }
    }

    @Test func `a raw value is a download`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("<script>".utf8))))
            let answer = try await http("GET", "/kv/k", ["Accept": "application/octet-stream"])
            #expect(answer.body == "<script>")
            #expect(answer.headers["content-type"] == "application/octet-stream")
            #expect(answer.headers["content-disposition"] == "attachment")
        }
    }

    @Test func `HEAD has the fields of GET and no body`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("v".utf8))))
            let (get, head) = (try await http("GET", "/kv/k"), try await http("HEAD", "/kv/k"))
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.headers["content-length"] == get.headers["content-length"])
            #expect(head.headers["etag"] == get.headers["etag"])
            node.answer(.absent)
            #expect(try await http("HEAD", "/kv/k").status == 404)
        }
    }

    @Test func `a known version is not sent again`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", Array("v".utf8))))
            let same = try await http("GET", "/kv/k", ["If-None-Match": "\"9.9.9\", W/\"3.2.17\""])
            #expect(same.status == 304)
            #expect(same.body.isEmpty)
            #expect(same.headers["etag"] == "\"3.2.17\"")
            #expect(try await http("GET", "/kv/k", ["If-None-Match": "\"9.9.9\""]).status == 200)
            #expect(try await http("GET", "/kv/k", ["If-Match": "\"9.9.9\""]).status == 412)
        }
    }

    @Test func `a local read shows what this node holds`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.script.withLock { $0.localRecord = .of("k", Array("old".utf8)) }
            #expect(try await http("GET", "/kv/k?consistency=local&node=worker1").body.contains("old"))
            #expect(node.operations.isEmpty)
            node.script.withLock { $0.localRecord = .of("k", Array("old".utf8), expiresAt: 1) }
            #expect(try await http("GET", "/kv/k?consistency=local").status == 404)
            node.script.withLock { $0.localError = StorageError(.invalid, "no member") }
            #expect(try await http("GET", "/kv/k?consistency=local").body.contains("not_a_member"))
            let other = try await http("GET", "/kv/k?consistency=local&node=worker9")
            #expect(other.status == 400)
            #expect(other.body.contains("worker9"))
        }
    }

    // MARK: Errors

    @Test(arguments: [
        (Outcome.absent, 404, "not_found"),
        (.conditionFailed(current: .two), 412, "condition_failed"),
        (.conditionFailed(current: nil), 412, "condition_failed"),
        (.refused(.noQuorum(reachable: 1, required: 2)), 503, "no_quorum"),
        (.refused(.timeout), 503, "timeout"),
        (.refused(.electing), 503, "electing"),
        (.refused(.notLeader(leader: nil)), 503, "not_leader"),
        (.refused(.overloaded), 503, "overloaded"),
        (.refused(.failed), 503, "storage_failed"),
        (.refused(.full), 507, "disk_full"),
        (.notANumber(current: .one), 409, "not_a_number"),
        (.unknown(acked: 1, required: 2), 504, "outcome_unknown"),
        (.passed, 500, "internal"),
    ])
    func `outcomes become problems`(outcome: Outcome, status: Int, code: String) async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(outcome)
            let answer = try await http("PUT", "/kv/a", ["X-Request-Id": "mine-1"], body: "1")
            #expect(answer.status == status)
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.headers["kv-served-by"] == "worker1")
            #expect(answer.body.contains("\"code\":\"\(code)\""))
            #expect(answer.body.contains(#""request_id":"mine-1""#))
            #expect((answer.headers["retry-after"] == "1") == (status == 503))
            switch status {
            case 503: #expect(answer.body.contains(#""outcome":"not_applied""#))
            case 504: #expect(answer.body.contains(#""required":2,"acked":1,"outcome":"unknown""#))
            default: break
            }
            if outcome == .conditionFailed(current: .two) { #expect(answer.headers["etag"] == "\"3.2.18\"") }
        }
    }
}
