import Testing
import Foundation
import KVHTTP
import KVNodeHTTP
import Logging
import NIOPosix
import ServiceLifecycle

/// A server on a free port, for the time of `body`; then another without the shortcut, for the same again: both ways
/// through the server answer alike.
func withServer(
    limits: HTTPServerLimits = HTTPServerLimits(), hosts: [String] = [], maximumBodyLength: Int? = nil,
    _ body: (RawHTTP, ScriptedNode) async throws -> Void
) async throws {
    for usesShortcut in [true, false] {
        try await withServer(
            usesShortcut: usesShortcut, limits: limits, hosts: hosts, maximumBodyLength: maximumBodyLength, body)
    }
}

func withServer(
    usesShortcut: Bool, limits: HTTPServerLimits = HTTPServerLimits(), hosts: [String] = [],
    maximumBodyLength: Int? = nil, _ body: (RawHTTP, ScriptedNode) async throws -> Void
) async throws {
    let node = ScriptedNode()
    let (ports, bound) = AsyncStream.makeStream(of: Int.self)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let server = NodeHTTPServer(
        service: node, host: "127.0.0.1", port: 0, limits: limits, hosts: AcceptedHosts(hosts),
        maximumBodyLength: maximumBodyLength, usesShortcut: usesShortcut,
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger, onBound: { bound.yield($0) })
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        for await port in ports {
            try await body(RawHTTP(port: port), node)
            break
        }
        group.cancelAll()
    }
}

/// Speaks HTTP/1.1 byte by byte, so that nothing is made nicer on the way.
struct RawHTTP: Sendable {
    let port: Int

    struct Answer: Sendable {
        var status: Int
        var headers: [String: String]
        var body: String
    }

    /// Sends one request and gives the answer; the connection is closed afterwards.
    func callAsFunction(
        _ method: String, _ target: String, _ headers: [String: String] = [:], body: String? = nil
    ) async throws -> Answer {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: localhost:\(port)\r\nConnection: close\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        return try await send(Array((text + "\r\n" + (body ?? "")).utf8))
    }

    func json(_ method: String, _ target: String, _ body: String, _ headers: [String: String] = [:]) async throws
        -> Answer
    {
        try await self(method, target, headers.merging(["Content-Type": "application/json"]) { $1 }, body: body)
    }

    /// Sends the bytes and reads until the server closes.
    func send(_ bytes: [UInt8]) async throws -> Answer {
        let text = String(decoding: try await sendRaw(bytes), as: UTF8.self)
        return try #require(RawHTTP.parse(text), "no HTTP answer: \(text.prefix(200))")
    }

    /// Blocking calls have a thread of their own: the server under test needs those that tasks share.
    func sendRaw(_ bytes: [UInt8]) async throws -> [UInt8] {
        let answer: [UInt8]? = await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: exchange(bytes)) }
        }
        return try #require(answer, "no connection")
    }

    /// A connection that `body`, which may block, does with as it likes.
    func connected<Result: Sendable>(
        receiveBuffer: Int? = nil, _ body: @escaping @Sendable (RawConnection) -> Result
    ) async throws -> Result {
        let port = port
        let result: Result? = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(returning: RawConnection(port: port, receiveBuffer: receiveBuffer).map(body))
            }
        }
        return try #require(result, "no connection")
    }

    private func exchange(_ bytes: [UInt8]) -> [UInt8]? {
        guard let connection = RawConnection(port: port) else { return nil }
        connection.send(bytes)
        return connection.receive(upTo: .max)
    }

    static func parse(_ text: String) -> Answer? {
        guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        guard let first = lines.first, let status = Int(first.split(separator: " ").dropFirst().first ?? "") else {
            return nil
        }
        if status == 100 { return parse(String(text[end.upperBound...])) }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            let value = parts.last.map { String($0.drop { $0 == " " }) } ?? ""
            headers[String(parts[0]).lowercased()] = value
        }
        return Answer(status: status, headers: headers, body: String(text[end.upperBound...]))
    }
}
