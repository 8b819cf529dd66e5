import HTTPTypes
@testable import KVHTTP
import KVReplication
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

/// What the shortcut takes for a request must be the very request that the parser behind it would have seen.
@Suite struct HeadFindingTests {
    private static let heads = [
        "GET /kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /kv/user%2F17?timeout=100 HTTP/1.1\r\nhost: 127.0.0.1:7101\r\nAccept: */*\r\nUser-Agent: x/1.0\r\n\r\n",
        "PUT /kv/b HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"value\":\"1\"}",
        "PUT /kv/b HTTP/1.1\r\nHost: h\r\nCONTENT-LENGTH:4\r\nIf-Match: \"3.2.17\"\r\nConnection: close\r\n\r\nabcd",
        "POST /kv/n/increment HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        "DELETE /kv/c HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\nX-Request-Id: r1\r\nAccept:\t text/plain \r\n\r\n",
        "HEAD /kv/c HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nAccept: a\r\nAccept: b\r\n\r\n",
        "PUT /kv/d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ]
    private static let next = Array("GET /next HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
    private static let insertions: [[UInt8]] = [
        Array("Connection: close\r\n".utf8), Array("Connection: keep-alive\r\n".utf8),
        Array("Proxy-Connection: close\r\n".utf8),
        [0], [9], [10], [13], [13, 10], [32], [34], [45], [58], [127], [128], Array("0".utf8),
        Array("Host: i\r\n".utf8),
        Array("Content-Length: 2\r\n".utf8), Array("Transfer-Encoding: chunked\r\n".utf8), Array("\r\n ".utf8),
        Array("+1".utf8), Array(" ,".utf8), Array("HTTP/1.0".utf8), Array("Upgrade: h2c\r\n".utf8),
    ]

    private func find(_ bytes: some Sequence<UInt8>) throws(PlainHead.Unclear) -> PlainHead.Found? {
        try PlainHead.find(in: ByteBuffer(bytes: bytes), maximumFields: 100)
    }

    /// What the parser of the general path makes of these bytes; `nil` when it refuses them.
    private func parsed(
        _ bytes: some Sequence<UInt8>
    ) -> (head: HTTPRequestHead?, body: Int, isEnded: Bool, heads: Int)? {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        var result: (head: HTTPRequestHead?, body: Int, isEnded: Bool, heads: Int) = (nil, 0, false, 0)
        do {
            try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(HTTPRequestDecoder()))
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                switch part {
                case .head(let head):
                    result.head = head
                    result.heads += 1
                case .body(let part): result.body += part.readableBytes
                case .end: result.isEnded = true
                }
            }
        } catch {
            return nil
        }
        return result
    }

    /// The parser leaves the blanks after a value there, which belong to the line and not to the value.
    private func values(_ name: String, _ head: HTTPRequestHead) -> [String?] {
        head.headers[name].map { value in
            var value = value[...]
            while value.last == " " || value.last == "\t" { value.removeLast() }
            return String(value)
        }
    }

    @Test func `whatever is found is what the parser finds`() throws {
        var random = SplitMix64(seed: 7)
        var found = 0
        for _ in 0..<6_000 {
            var bytes = Array(Self.heads.randomElement(using: &random)?.utf8 ?? "".utf8)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(contentsOf: Self.insertions.randomElement(using: &random) ?? [], at: place)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: place)
                }
            }
            guard let head = try? find(bytes) else { continue }
            let end = head.length + head.head.contentLength
            guard end <= 1_000 else { continue }
            found += 1
            while bytes.count < end { bytes.append(UInt8(ascii: "x")) }
            let shown = Comment(rawValue: String(decoding: bytes, as: UTF8.self).debugDescription)
            let whole = try #require(parsed(bytes[..<end]), shown)
            let seen = try #require(whole.head, shown)
            #expect(whole.isEnded && whole.body == head.head.contentLength, shown)
            #expect(parsed(bytes[..<(end - 1)])?.isEnded == false, shown)
            let target = head.head.path + (head.head.query.map { "?" + $0 } ?? "")
            #expect(seen.uri == target && seen.method.rawValue == head.head.method.rawValue, shown)
            #expect(seen.version == .http1_1, shown)
            // After the last that the client announces, nothing is read any more.
            #expect((parsed(bytes[..<end] + Self.next)?.heads == 2) == !head.head.ends, shown)
            #expect(values("host", seen) == [head.head.host], shown)
            guard head.isPlain else { continue }
            #expect(values("if-match", seen) == (head.head.ifMatch.map { [$0] } ?? []), shown)
            #expect(values("if-none-match", seen) == (head.head.ifNoneMatch.map { [$0] } ?? []), shown)
            #expect(values("content-type", seen) == (head.head.contentType.map { [$0] } ?? []), shown)
            #expect(values("accept", seen) == (head.head.accept.map { [$0] } ?? []), shown)
            #expect(seen.headers["origin"].isEmpty && seen.method != .POST, shown)
        }
        #expect(found > 1_500)
    }

    @Test(arguments: heads.dropLast())
    func `a head is found when its last byte is there`(text: String) throws {
        let bytes = Array(text.utf8)
        let whole = try #require(try find(bytes))
        for count in 0..<whole.length { #expect(try find(bytes[..<count]) == nil) }
        #expect(whole.length + whole.head.contentLength == bytes.count)
        #expect(try find(bytes + Array("GET / HTTP/1.1\r\n".utf8))?.length == whole.length)
    }

    @Test(arguments: [
        "GET  /kv/a HTTP/1.1\r\n", "get /kv/a HTTP/1.1\r\n", "PATCH /", "\r\nGET /", "GET /kv/a HTTP/1.0\r\n",
        "GET http://h/kv/a HTTP/1.1\r\n", "GET /kv/a HTTP/1.1\nHost: h\n\n", "\u{16}\u{3}\u{1}",
        "GET /kv/a HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n", "GET / HTTP/1.1\r\nHost : h\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n", "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        "PUT / HTTP/1.1\r\nContent-Length: +1\r\n", "PUT / HTTP/1.1\r\nContent-Length: 1, 1\r\n",
        "PUT / HTTP/1.1\r\nContent-Length: 1000000000000000\r\n", "PUT / HTTP/1.1\r\nContent-Length:\r\n",
        "PUT / HTTP/1.1\r\nTransfer-Encoding: identity\r\n", "PUT / HTTP/1.1\r\nExpect: 100-continue\r\n",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\n", "GET / HTTP/1.1\r\nConnection: keep-alive, close\r\n",
        "GET /a b HTTP/1.1\r\n", "GET /\u{E9} HTTP/1.1\r\n",
    ])
    func `what is unclear is left to the parser`(text: String) {
        #expect(throws: PlainHead.Unclear.self) { try find(text.utf8) }
    }
}
