import NIOCore
import Testing

@testable import KVBackendBench
@testable import KVLoad

/// Requests as they leave, answers as they arrive: in any pieces.
@Suite struct DialectTests {
    private var plan: LoadPlan {
        var plan = LoadPlan()
        plan.valueBytes = 5
        return plan
    }
    private let endpoint = LoadEndpoint(host: "127.0.0.1", port: 8001)

    private func request(_ dialect: some LoadDialect, _ operation: LoadOperation, _ number: Int = 42) -> String {
        var buffer = ByteBuffer()
        var random = BenchRandom(seed: 1)
        dialect.write(operation, number, into: &buffer, random: &random)
        return String(buffer: buffer)
    }

    /// The same answer, however it is cut: each beginning gives nothing and takes nothing.
    private func answer(
        _ dialect: some LoadDialect, _ text: String, _ question: LoadQuestion
    ) throws -> LoadAnswer {
        for length in 0..<text.utf8.count {
            var part = ByteBuffer(bytes: text.utf8.prefix(length))
            #expect(try dialect.answer(from: &part, to: question) == nil, "after \(length) bytes")
            #expect(part.readableBytes == length)
        }
        var buffer = ByteBuffer(string: text + "next")
        let answer = try #require(try dialect.answer(from: &buffer, to: question))
        #expect(String(buffer: buffer) == "next")
        return answer
    }

    private func isWrong(_ answer: LoadAnswer) -> Bool {
        if case .wrong = answer.outcome { true } else { false }
    }

    private func http(_ status: String, _ body: String, _ fields: String = "") -> String {
        "HTTP/1.1 \(status)\r\nserver: x\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test func `requests of this store`() {
        let dialect = KVDialect(plan, endpoint: endpoint)
        #expect(request(dialect, .read) == "GET /kv/bench/000000000042 HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n\r\n")
        let put = request(dialect, .update)
        #expect(put.hasPrefix("PUT /kv/bench/000000000042 HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nContent-Type: "))
        #expect(put.contains("Content-Length: 17\r\n\r\n{\"value\":\"") && put.hasSuffix("\"}"))
        #expect(request(dialect, .scan).contains("&prefix=bench/0000000000 HTTP/1.1"))
        var buffer = ByteBuffer()
        var random = BenchRandom(seed: 1)
        dialect.writeConditionally(1, version: Array("\"7\"".utf8), into: &buffer, random: &random)
        #expect(String(buffer: buffer).contains("\r\nIf-Match: \"7\"\r\n"))
    }

    @Test func `answers of this store`() throws {
        let dialect = KVDialect(plan, endpoint: endpoint)
        let read = LoadQuestion(operation: .read, isChecked: true)
        #expect(try answer(dialect, http("200 OK", #"{"key":"k","value":"12345"}"#), read).outcome == .done)
        #expect(try answer(dialect, http("404 Not Found", "{}"), read).outcome == .missing)
        #expect(try answer(dialect, http("503 X", "{}"), read).outcome == .failed("status 503"))
        guard case .wrong = try answer(dialect, http("200 OK", "{}"), read).outcome else {
            Issue.record("a record without a value was taken for one")
            return
        }
        guard
            case .wrong = try answer(
                dialect, http("200 OK", #"{"key":"k"}"#), LoadQuestion(operation: .update, isChecked: true)
            ).outcome
        else {
            Issue.record("a write without acknowledgements was taken for one")
            return
        }
        for body in [#"{"key":"a long key","value":"1234"}"#, #"{"key":"a long key","value":"123456"}"#] {
            #expect(try isWrong(answer(dialect, http("200 OK", body), read)), "\(body)")
        }
        for operation in [LoadOperation.update, .insert, .scan] {
            let question = LoadQuestion(operation: operation)
            #expect(try answer(dialect, http("404 Not Found", "{}"), question).outcome == .failed("status 404"))
        }
        let scan = LoadQuestion(operation: .scan, isChecked: true)
        let rest = #""prefixes":[],"next_cursor":null,"incomplete""#
        #expect(try answer(dialect, http("200 OK", #"{"keys":[{"key":"k"}],\#(rest):[]}"#), scan).outcome == .done)
        for body in [#"{"keys":[],\#(rest):[]}"#, #"{"keys":[{"key":"k"}],\#(rest):[3]}"#, "{}"] {
            #expect(try isWrong(answer(dialect, http("200 OK", body), scan)), "\(body)")
        }
        let modify = LoadQuestion(operation: .modify)
        let found = try answer(dialect, http("200 OK", #"{"value":"12345"}"#, "ETag: \"3-9\"\r\n"), modify)
        #expect(found == LoadAnswer(outcome: .done, version: Array("\"3-9\"".utf8)))
        let conditional = LoadQuestion(operation: .modify, isConditional: true)
        #expect(try answer(dialect, http("412 X", "{}"), conditional).outcome == .conflict)
    }

    @Test func `requests and answers of etcd`() throws {
        let dialect = EtcdDialect(plan, endpoint: endpoint)
        let name = "YmVuY2gvMDAwMDAwMDAwMDQy"
        #expect(request(dialect, .read).hasSuffix("\r\nContent-Length: 34\r\n\r\n{\"key\":\"\(name)\"}"))
        #expect(request(dialect, .update).contains("\"key\":\"\(name)\",\"value\":\""))
        let read = LoadQuestion(operation: .read, isChecked: true)
        #expect(
            try answer(dialect, http("200 OK", #"{"header":{},"kvs":[{"value":"MTIzNDU="}]}"#), read).outcome == .done)
        #expect(try answer(dialect, http("200 OK", #"{"header":{}}"#), read).outcome == .missing)
        let modify = LoadQuestion(operation: .modify, isChecked: true)
        for value in ["MTIzNA==", "MTIzNDU2Nzg=", ""] {
            let body = #"{"header":{"revision":"1"},"kvs":[{"key":"a","mod_revision":"3","value":"\#(value)"}]}"#
            for question in [read, modify] {
                #expect(try isWrong(answer(dialect, http("200 OK", body), question)), "\(value)")
            }
        }
        let scan = LoadQuestion(operation: .scan, isChecked: true)
        #expect(try answer(dialect, http("200 OK", #"{"header":{},"kvs":[{"key":"a"}]}"#), scan).outcome == .done)
        #expect(try isWrong(answer(dialect, http("200 OK", #"{"header":{}}"#), scan)))
        let swap = LoadQuestion(operation: .modify, isConditional: true, isChecked: true)
        #expect(try isWrong(answer(dialect, http("200 OK", "{}"), swap)))
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let pieces = "9\r\n{\"kvs\":[{\r\n1C;x=y\r\n\"mod_revision\":\"17\",\"v\":1}]}\r\n0\r\n\r\n"
        let found = try answer(dialect, chunked + pieces, LoadQuestion(operation: .modify))
        #expect(found == LoadAnswer(outcome: .done, version: Array("17".utf8)))
        let conditional = LoadQuestion(operation: .modify, isConditional: true)
        #expect(try answer(dialect, http("200 OK", #"{"succeeded":true}"#), conditional).outcome == .done)
        #expect(try answer(dialect, http("200 OK", #"{"header":{}}"#), conditional).outcome == .conflict)
    }

    @Test func `requests and answers of Redis`() throws {
        let dialect = RedisDialect(plan)
        #expect(request(dialect, .read) == "*2\r\n$3\r\nGET\r\n$18\r\nbench/000000000042\r\n")
        #expect(request(dialect, .update).hasPrefix("*3\r\n$3\r\nSET\r\n$18\r\nbench/000000000042\r\n$5\r\n"))
        let read = LoadQuestion(operation: .read, isChecked: true)
        #expect(try answer(dialect, "$5\r\n12345\r\n", read).outcome == .done)
        #expect(try answer(dialect, "$-1\r\n", read).outcome == .missing)
        guard case .wrong = try answer(dialect, "$4\r\n1234\r\n", read).outcome else {
            Issue.record("a short value was taken for one")
            return
        }
        let update = LoadQuestion(operation: .update)
        #expect(try isWrong(answer(dialect, "$-1\r\n", update)))
        #expect(try answer(dialect, "+OK\r\n", update).outcome == .done)
        #expect(try answer(dialect, "-MOVED 7 127.0.0.1:1\r\n", update).outcome == .failed("MOVED"))
    }

    @Test(arguments: [
        "HTTP/2 200\r\n\r\n", "nonsense\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000001\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + String(repeating: "x", count: 5_000),
        "HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n",
    ])
    func `what is no answer is refused`(text: String) {
        var buffer = ByteBuffer(string: text)
        #expect(throws: LoadProtocolError.self) {
            try KVDialect(plan, endpoint: endpoint).answer(from: &buffer, to: LoadQuestion(operation: .read))
        }
    }

    @Test(arguments: ["?\r\n", "$x\r\n", "$-2\r\n", "$9999999999999999999\r\n", "$67108865\r\n", "*1\r\n+OK\r\n"])
    func `what is no reply of Redis is refused`(text: String) {
        var buffer = ByteBuffer(string: text)
        #expect(throws: LoadProtocolError.self) {
            try RedisDialect(plan).answer(from: &buffer, to: LoadQuestion(operation: .read))
        }
    }

    @Test func `base64 is that of RFC 4648`() {
        for (plain, encoded) in [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            var buffer = ByteBuffer()
            buffer.writeBase64(Array(plain.utf8))
            #expect(String(buffer: buffer) == encoded)
        }
    }

    @Test func `masters and their slots are read from Redis's own words`() {
        let text = """
            aa 127.0.0.1:7002@17002,host master - 0 1 2 connected 5461-10922
            bb 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5459 5460
            cc 127.0.0.1:7004@17004 slave aa 0 1 2 connected
            dd 127.0.0.1:7003@17003 master - 0 1 3 connected 10923-16383 [93->-aa]
            ee 127.0.0.1:7005@17005 master - 0 1 3 connected
            """
        let servers = RedisCluster.parse(text)
        #expect(servers.map(\.endpoint.port) == [7001, 7002, 7003])
        #expect(servers.map(\.slots) == [[0...5459, 5460...5460], [5461...10922], [10923...16383]])
    }
}
