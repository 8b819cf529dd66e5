import KVHTTP
import KVReplication
import Testing

/// A value is stored as a whole or not at all: of a request whose connection ends amid its body nothing is done.
@Suite struct CutOffBodyTests {
    /// How the connection ends.
    enum End: CaseIterable {
        /// The client says that it sends nothing more.
        case input
        /// The client is gone.
        case client
        /// Nothing comes any more.
        case idle
    }

    private static let beginnings = [
        "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf",
        "PUT /kv/a?timeout=900 HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf",
        "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz",
    ]

    @Test(arguments: beginnings, End.allCases)
    func `nothing is written of a body that was cut off`(beginning: String, end: End) async throws {
        try await withServer(limits: HTTPServerLimits(idleTimeout: .milliseconds(300))) { http, node in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            _ = try await http.connected { connection in
                connection.send(beginning)
                if end == .client { return [UInt8]() }
                if end == .input { connection.endInput() }
                return connection.receive(upTo: .max)
            }
            // What comes after it on another connection is answered: by then the first is over, or at its end.
            _ = try await http("PUT", "/kv/after", ["Content-Type": "text/plain"], body: "v")
            if end == .client { try await http.connected { _ = $0.receive(upTo: .max) } }
            #expect(node.operations == [.put(.of("after"), value: Array("v".utf8), expiresAt: 0, .none)])
        }
    }
}
