import ArgumentParser
import Foundation
import NIOCore
import Testing

@testable import kv

@Suite struct HealingCommandTests {
    @Test func `operations on nodes and the alarm are commands`() throws {
        #expect(try #require(try KV.parseAsRoot(["remove", "worker2"]) as? Remove).name == "worker2")
        #expect(try KV.parseAsRoot(["alarm", "acknowledge"]) is AcknowledgeAlarm)
        #expect(try KV.parseAsRoot(["alarm", "ack"]) is AcknowledgeAlarm)
        #expect(try KV.parseAsRoot(["moves", "-o", "json"]) is Moves)
        #expect(throws: (any Error).self) { try KV.parseAsRoot(["remove"]) }
    }

    @Test func `a piece of work is one sentence`() {
        let work = Moves.Document.Work(
            kind: "repair", node: "worker1", partitions: 48, partitionsLeft: 12, keys: 3_600, bytes: 360_000,
            runningMs: 4_250, msLeft: 12_345)
        #expect(
            Moves.line(work)
                == "repair of worker1: 36 of 48 partitions, 3600 keys, 360000 bytes in 4.2 s, about 12 s left")
        let first = Moves.Document.Work(
            kind: "rebalance", node: nil, partitions: 4, partitionsLeft: 4, keys: 0, bytes: 0, runningMs: 0, msLeft: nil
        )
        #expect(Moves.line(first) == "rebalance: 0 of 4 partitions, 0 keys, 0 bytes in 0.0 s")
    }

    @Test func `a controller that is away is said in plain words`() {
        let refused = IOError(errnoCode: ECONNREFUSED, reason: "connect")
        #expect(ControllerLinkError.reason(of: refused) == "connection refused")
        #expect(ControllerLinkError.reason(of: ChannelError.connectTimeout(.seconds(1))) == "no connection in time")
        #expect(ControllerLinkError.reason(of: ChannelError.eof) == "the connection broke")
        struct Inner: Error {}
        #expect(ControllerLinkError.reason(of: Inner()) == "the connection failed")
        #expect(
            ControllerLinkError(address: "h:1", reason: "connection refused").description == "h:1: connection refused")
    }
}
