import KVProtocols
import KVReplication
import KVTransport
import NIOCore
import NIOPosix
import Testing

@Suite(.timeLimit(.minutes(1))) struct PeerGreetingTests {
    /// Starts node 2, which knows node 1 with incarnation 1 and boot 5; shows it a greeting; gives its answer as text.
    private func answer(to greeting: ByteBuffer, turnedAway reason: String) async throws {
        try await withGroup { group in
            let node = TestNode(2, group: group)
            node.network.update(peers: [TestNode.unreachable(1, boot: 5)])
            let port = try await node.network.start()
            let answer = try await BareConnection.open(port: port, group: group).exchange([greeting])
            #expect(answer.count > 5 && answer[4] == 3)
            #expect(String(decoding: answer.dropFirst(5), as: UTF8.self).contains(reason))
            await node.log.turnedAway(reason)
            #expect(node.network.counters.turnedAway == 1)
            await node.network.shutdown()
        }
    }

    @Test func `another cluster is turned away`() async throws {
        try await answer(to: hello(from: 1, to: 2, cluster: 8, boot: 5), turnedAway: "another cluster")
    }

    @Test func `another incarnation is turned away`() async throws {
        try await answer(to: hello(from: 1, to: 2, incarnation: 2, boot: 5), turnedAway: "another data folder")
    }

    @Test func `a lower boot than in the list is turned away`() async throws {
        try await answer(to: hello(from: 1, to: 2, boot: 4), turnedAway: "rolled back")
    }

    @Test func `an unknown node is turned away`() async throws {
        try await answer(to: hello(from: 9, to: 2, boot: 5), turnedAway: "not in this node's cluster map")
    }

    @Test func `someone who looks for another node is turned away`() async throws {
        try await answer(to: hello(from: 1, to: 3, boot: 5), turnedAway: "looks for node 3")
    }

    @Test func `another protocol version is turned away`() async throws {
        try await answer(to: hello(from: 1, to: 2, boot: 5, version: 1), turnedAway: "protocol version 1 instead of 2")
    }

    @Test func `a lower boot than an earlier connection showed is turned away`() async throws {
        try await withGroup { group in
            let node = TestNode(2, group: group)
            node.network.update(peers: [TestNode.unreachable(1)])
            let port = try await node.network.start()
            let newer = try await BareConnection.open(port: port, group: group)
            try await newer.channel.executeThenClose { inbound, outbound in
                try await outbound.write(hello(from: 1, to: 2, boot: 6))
                var parts = inbound.makeAsyncIterator()
                #expect(try await parts.next() != nil)
            }
            let answer = try await BareConnection.open(port: port, group: group).exchange([
                hello(from: 1, to: 2, boot: 5)
            ])
            #expect(answer.count > 5 && answer[4] == 3)
            await node.log.turnedAway("rolled back")
            await node.network.shutdown()
        }
    }

    @Test func `a late map is only waited for`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            let secondPort = try await second.network.start()
            first.network.update(peers: [second.address(port: secondPort)])
            let firstPort = try await first.network.start()
            await first.log.turnedAway("not in this node's cluster map")
            await second.log.turnedAway("not in this node's cluster map")
            second.network.update(peers: [first.address(port: firstPort)])
            await first.log.connections(to: 2)
            await second.log.connections(to: 1)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `what an address leads to must be the node that was meant`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let other = TestNode(3, group: group)
            let port = try await other.network.start()
            first.network.update(peers: [TestNode(2, group: group).address(port: port)])
            _ = try await first.network.start()
            await first.log.turnedAway("looks for node 2")
            #expect(first.network.connected.isEmpty)
            await first.network.shutdown()
            await other.network.shutdown()
        }
    }

    @Test func `frames of a replaced connection are dropped`() async throws {
        try await withGroup { group in
            let node = TestNode(2, group: group)
            node.network.update(peers: [TestNode.unreachable(1)])
            let port = try await node.network.start()
            let older = try await BareConnection.open(port: port, group: group)
            let newer = try await BareConnection.open(port: port, group: group)
            try await newer.channel.executeThenClose { newIn, newOut in
                try await older.channel.executeThenClose { oldIn, oldOut in
                    var oldParts = oldIn.makeAsyncIterator()
                    try await oldOut.write(hello(from: 1, to: 2, generation: 1))
                    try await oldOut.write(frame([confirm(1)]))
                    _ = try await oldParts.next()
                    _ = await node.log.messages(1)
                    try await newOut.write(hello(from: 1, to: 2, generation: 2))
                    try await newOut.write(frame([confirm(2)]))
                    _ = await node.log.messages(2)
                    // Closed by the node; what is written into it leads nowhere.
                    do {
                        try await oldOut.write(frame([confirm(3)]))
                        while try await oldParts.next() != nil {}
                    } catch {}
                }
                try await newOut.write(frame([confirm(4)]))
                #expect(rounds(await node.log.messages(3)) == [1, 2, 4])
                // And the older of two does not replace the newer.
                let answer = try await BareConnection.open(port: port, group: group).exchange([
                    hello(from: 1, to: 2, generation: 1), frame([confirm(5)]),
                ])
                #expect(answer.isEmpty || answer[4] == 3)
                try await newOut.write(frame([confirm(6)]))
                #expect(rounds(await node.log.messages(4)) == [1, 2, 4, 6])
            }
            await node.network.shutdown()
        }
    }

    @Test func `a silent peer is reported and its connections are closed`() async throws {
        try await withGroup { group in
            var settings = PeerNetworkSettings()
            settings.silence = .milliseconds(200)
            settings.ping = .milliseconds(40)
            // This one is slow to say anything: its pings come too late for the other.
            var slow = PeerNetworkSettings()
            slow.ping = .seconds(60)
            slow.silence = .seconds(60)
            let first = TestNode(1, settings: settings, group: group)
            let second = TestNode(2, settings: slow, group: group)
            _ = try await connect(first, second)
            await first.log.disconnections(from: 2)
            await second.log.disconnections(from: 1)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `pings keep an idle connection`() async throws {
        try await withGroup { group in
            var settings = PeerNetworkSettings()
            settings.silence = .milliseconds(400)
            settings.ping = .milliseconds(50)
            let first = TestNode(1, settings: settings, group: group)
            let second = TestNode(2, settings: settings, group: group)
            let (_, port) = try await connect(first, second)
            // Someone who never says who he is is closed after the time of silence: by then the others were idle as long.
            for _ in 0..<3 { _ = try await BareConnection.open(port: port, group: group).exchange([]) }
            #expect(first.network.connected == [NodeID(2)])
            #expect(first.log.events.count == 1)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `garbage closes its own connection only`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            let (_, port) = try await connect(first, second)
            var random = RandomMessages(seed: 11)
            for text in ["GET / HTTP/1.1\r\n\r\n", "\u{1}\0\0\0x", "\u{5}\0\0\0\u{5}aaaa"] {
                let answer = try await BareConnection.open(port: port, group: group).exchange([ByteBuffer(string: text)]
                )
                #expect(answer.isEmpty)
            }
            for _ in 0..<20 {
                let bytes = [9, 0, 0, 0, UInt8(random.number(below: 8))] + random.bytes(60) + [0, 0, 0, 0, 0, 0, 0, 0]
                _ = try await BareConnection.open(port: port, group: group).exchange([ByteBuffer(bytes: bytes)])
            }
            #expect(second.network.counters.malformed == 23)
            first.send([1], to: 2)
            #expect(rounds(await second.log.messages(1)) == [1])
            // It may have been turned away before the other one knew it; since they are connected nothing happened.
            #expect(first.log.events.count { if case .turnedAway = $0 { false } else { true } } == 1)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `a huge length is refused at once, before and after the greeting`() async throws {
        try await withGroup { group in
            let node = TestNode(2, group: group)
            node.network.update(peers: [TestNode.unreachable(1)])
            let port = try await node.network.start()
            let before = ByteBuffer(bytes: [0, 0, 16, 0])
            #expect(try await BareConnection.open(port: port, group: group).exchange([before]).isEmpty)
            let after = ByteBuffer(bytes: [1, 0, 0, 5])
            let answer = try await BareConnection.open(port: port, group: group).exchange([
                hello(from: 1, to: 2), after,
            ])
            #expect(answer.isEmpty || answer[4] == 2)
            #expect(node.network.counters.malformed == 2)
            await node.network.shutdown()
        }
    }

    @Test func `strangers beyond the bound are closed`() async throws {
        try await withGroup { group in
            var settings = PeerNetworkSettings()
            settings.maximumStrangers = 2
            settings.silence = .seconds(30)
            let node = TestNode(2, settings: settings, group: group)
            let port = try await node.network.start()
            let silent = [
                try await BareConnection.open(port: port, group: group),
                try await BareConnection.open(port: port, group: group),
            ]
            #expect(try await BareConnection.open(port: port, group: group).exchange([]).isEmpty)
            await node.network.shutdown()
            for connection in silent { #expect(try await connection.exchange([]).isEmpty) }
        }
    }
}
