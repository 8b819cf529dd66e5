import Foundation
import KVHTTP
import KVProtocols
import KVReplication
import Testing

/// Answers that are longer than the system takes at once, and clients that do not take them at once.
@Suite struct LongAnswerTests {
    private static let length = 8 << 20
    private static let long = [UInt8](repeating: UInt8(ascii: "v"), count: length)
    private static let raw = "Accept: application/octet-stream\r\n"

    private static func get(_ fields: String = "") -> String {
        "GET /kv/k HTTP/1.1\r\nHost: x\r\n\(raw)\(fields)\r\n"
    }

    @Test func `an answer arrives as a whole before its connection ends`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", LongAnswerTests.long)))
            let bytes = try await http.connected(receiveBuffer: 65_536) { connection in
                connection.send(LongAnswerTests.get("Connection: close\r\n"))
                return connection.receive(upTo: .max)
            }
            #expect(bytes.count > LongAnswerTests.length)
        }
    }

    @Test func `a client that has ended its side gets its answers`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", LongAnswerTests.long)))
            node.holdAnswers()
            let bytes = try await http.connected(receiveBuffer: 65_536) { connection in
                connection.send(LongAnswerTests.get() + LongAnswerTests.get())
                connection.endInput()
                node.whenAsked { node.releaseAnswers() }
                return connection.receive(upTo: .max)
            }
            #expect(bytes.count > 2 * LongAnswerTests.length)
        }
    }

    @Test func `what is no HTTP behind a request does not cut its answer off`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", LongAnswerTests.long)))
            let bytes = try await http.connected(receiveBuffer: 65_536) { connection in
                connection.send(LongAnswerTests.get())
                var bytes = connection.receive(upTo: 1)
                connection.send("nonsense\r\n\r\n")
                bytes += connection.receive(upTo: .max)
                return bytes
            }
            #expect(bytes.count > LongAnswerTests.length)
            #expect(String(decoding: bytes.suffix(1_000), as: UTF8.self).contains("malformed_request"))
        }
    }

    @Test func `a slow client gets all of a long answer`() async throws {
        try await withServer(limits: HTTPServerLimits(idleTimeout: .milliseconds(500))) {
            (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", LongAnswerTests.long + LongAnswerTests.long)))
            let bytes = try await http.connected(receiveBuffer: 32_768) { connection in
                connection.send(LongAnswerTests.get())
                return connection.receive(upTo: 2 * LongAnswerTests.length + 100, part: 128 << 10) { _ in
                    usleep(8_000)
                }
            }
            #expect(bytes.count == 2 * LongAnswerTests.length + 100)
        }
    }

    /// The server has one place: the second client is answered when the first has lost it.
    @Test func `a client that takes nothing of its answer loses its connection`() async throws {
        let limits = HTTPServerLimits(idleTimeout: .milliseconds(300), maximumConnections: 1)
        try await withServer(limits: limits) { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", LongAnswerTests.long)))
            let dead = try await http.connected(receiveBuffer: 65_536) { connection in
                connection.send(LongAnswerTests.get())
                _ = connection.receive(upTo: 1)
                return UncheckedHold(connection)
            }
            #expect(try await http("GET", "/livez").status == 200)
            withExtendedLifetime(dead) {}
        }
    }

    @Test func `requests wait while their answers are left lying`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            let (count, length) = (100, 1 << 20)
            node.answer(.value(.of("k", [UInt8](repeating: UInt8(ascii: "v"), count: length))))
            let (bytes, lead) = try await http.connected(receiveBuffer: 65_536) { connection in
                connection.send(String(repeating: LongAnswerTests.get(), count: count))
                var lead = 0
                let bytes = connection.receive(upTo: count * length) { received in
                    lead = max(lead, node.operations.count - received / length)
                }
                return (bytes.count, lead)
            }
            #expect(bytes == count * length)
            #expect(lead < 24, "\(lead) answers were made that nobody had taken")
        }
    }
}

/// Keeps a connection open; it is used by nobody meanwhile.
private final class UncheckedHold: @unchecked Sendable {
    private let connection: RawConnection
    init(_ connection: RawConnection) { self.connection = connection }
}
