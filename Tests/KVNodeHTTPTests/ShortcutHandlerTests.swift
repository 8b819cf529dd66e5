import Foundation
import HTTPTypes
@testable import KVHTTP
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

/// The handler by itself, where each step is the test's.
@Suite struct ShortcutHandlerTests {
    private final class Answerer: RequestShortcut {
        let maximumBodyLength = 64 << 10
        let route = 0
        let asked = Mutex(0)
        let held = Mutex<[@Sendable (Document) -> Void]>([])

        func takes(_ head: PlainHead) -> Bool { head.path.hasPrefix("/kv/") }

        func answer(
            _ head: PlainHead, body: ByteBuffer, requestID: String, completion: @escaping @Sendable (Document) -> Void
        ) {
            asked.withLock { $0 += 1 }
            held.withLock { $0.append(completion) }
        }

        var count: Int { asked.withLock { $0 } }

        func release(_ document: Document) {
            for completion in held.withLock({ held in
                defer { held = [] }
                return held
            }) { completion(document) }
        }
    }

    private let answerer = Answerer()
    private let channel = EmbeddedChannel()
    private let handler: ShortcutHandler

    init() throws {
        let common = ServerCommons(
            limits: HTTPServerLimits(), hosts: AcceptedHosts(), metrics: RequestMetrics(routes: ["kv"]))
        let pipeline = channel.pipeline.syncOperations
        let parser = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes))
        try pipeline.addHandlers([HTTPResponseEncoder(), parser])
        let guardian = ConnectionGuard(common, encoder: try pipeline.context(handlerType: HTTPResponseEncoder.self))
        try pipeline.addHandler(guardian)
        handler = ShortcutHandler(answerer, connection: guardian, common: common)
        try pipeline.addHandler(handler, position: .before(parser))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    private func send(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

    /// What the general path would answer.
    private func answerGenerally() throws {
        try channel.writeOutbound(HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: .ok)))
        try channel.writeOutbound(HTTPServerResponsePart.end(nil))
    }

    @Test func `a connection whose reads end amid requests holds no more than one of them`() throws {
        let value = String(repeating: "v", count: 32 << 10)
        let request = "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: \(value.utf8.count)\r\n\r\n\(value)"
        try send("P")
        for _ in 0..<200 {
            try send(String(request.dropFirst()) + "P")
            answerer.release(Document(.noContent))
            while try channel.readOutbound(as: IOData.self) != nil {}
        }
        #expect(answerer.count == 200)
        #expect(handler.capacity < 1 << 20)
    }

    @Test func `nothing is done after the last request that a client announced`() throws {
        try send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        try answerGenerally()
        // The parser refuses it; the shortcut is not asked.
        _ = try? send("PUT /kv/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv")
        #expect(answerer.count == 0)
    }

    @Test func `the next request is the shortcut's again after one that wasn't`() throws {
        try send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(answerer.count == 0, "the general path still owes an answer, and gets the next request too")
        try answerGenerally()
        try answerGenerally()
        try send("GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(answerer.count == 1)
        answerer.release(Document(.noContent))
        try send("POST /keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        try answerGenerally()
        try send("GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(answerer.count == 1, "who sends what only the parser delimits stays with it")
    }

    @Test func `requests that wait are answered in order behind answers longer than the channel takes`() throws {
        let get = "GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n"
        try send(get + get + get)
        var sent: [String] = []
        for number in 1...3 {
            #expect(answerer.count == number, "one at a time")
            answerer.release(Document(.ok, body: [UInt8](repeating: UInt8(48 + number), count: 256 << 10)))
            while let part = try channel.readOutbound(as: IOData.self) {
                guard case .byteBuffer(let buffer) = part else { continue }
                sent.append(String(buffer: buffer))
            }
        }
        let bodies = sent.joined().components(separatedBy: "\r\n\r\n").dropFirst().map(\.first)
        #expect(bodies == ["1", "2", "3"])
    }

    @Test(arguments: ["worker1\r\nX-Evil: 1", "worker\u{0}", "arbeiter\u{FC}", "\u{7F}"])
    func `a leader's name that no header may hold is left out`(leader: String) {
        var bytes: [UInt8] = []
        Document(.ok, leader: leader).write(to: &bytes, lines: [], requestID: "r", isHead: false, ends: false)
        #expect(
            String(decoding: bytes, as: UTF8.self) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: r\r\n\r\n")
        bytes = []
        Document(.ok, leader: "worker1").write(to: &bytes, lines: [], requestID: "r", isHead: false, ends: false)
        #expect(String(decoding: bytes, as: UTF8.self).contains("\r\nKV-Leader: worker1\r\n"))
    }
}
