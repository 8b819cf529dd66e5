import KVProtocols
import KVReplication
import KVTransport
import NIOCore
import NIOPosix
import Testing

@Suite(.timeLimit(.minutes(1))) struct PeerNetworkTests {
    @Test func `messages arrive in order and in batches`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            _ = try await connect(first, second)
            for start in stride(from: UInt64(0), to: 10_000, by: 10) { first.send(start..<start + 10, to: 2) }
            let batches = await second.log.messages(10_000)
            #expect(rounds(batches) == Array(0..<10_000))
            #expect(batches.count <= 1_000)
            #expect(first.network.counters.messagesOut == 10_000)
            #expect(second.network.counters.messagesIn == 10_000)
            #expect(first.network.counters.framesOut == second.network.counters.framesIn)
            #expect(first.network.counters.bytesOut == second.network.counters.bytesIn)
            #expect(first.network.counters.dropped == 0)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `messages of two threads keep each thread's order`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            _ = try await connect(first, second)
            await withTaskGroup(of: Void.self) { tasks in
                for thread in [UInt64(0), 1 << 32] {
                    tasks.addTask { for number in 0..<UInt64(2_000) { first.send([thread + number], to: 2) } }
                }
            }
            let received = rounds(await second.log.messages(4_000))
            #expect(received.filter { $0 < 1 << 32 } == Array(0..<2_000))
            #expect(received.filter { $0 >= 1 << 32 }.map { $0 - 1 << 32 } == Array(0..<2_000))
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `a peer that can't answer yet is not reported as connected`() async throws {
        // An operation sent on to such a peer would wait for an answer that was dropped.
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            let ports = (try await first.network.start(), try await second.network.start())
            second.network.update(peers: [TestNode.unreachable(1)])
            first.network.update(peers: [second.address(port: ports.1)])
            var received = 0
            while received == 0 {
                first.send([1], to: 2)
                try await Task.sleep(for: .milliseconds(5))
                received =
                    rounds(
                        second.log.events.compactMap {
                            if case .received(_, let messages) = $0 { messages } else { nil }
                        }
                    ).count
            }
            #expect(first.network.connected.isEmpty)
            second.network.update(peers: [first.address(port: ports.0)])
            await first.log.connections(to: 2)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `three nodes reach each other`() async throws {
        try await withGroup { group in
            let nodes = (1...3).map { TestNode(UInt32($0), group: group) }
            var addresses: [PeerAddress] = []
            for node in nodes { addresses.append(node.address(port: try await node.network.start())) }
            for node in nodes { node.network.update(peers: addresses) }
            for node in nodes {
                for other in nodes where other.identity.node != node.identity.node {
                    await node.log.connections(to: other.identity.node.rawValue)
                    node.send([UInt64(node.identity.node.rawValue)], to: other.identity.node.rawValue)
                }
            }
            for node in nodes {
                for other in nodes where other.identity.node != node.identity.node {
                    let number = other.identity.node.rawValue
                    #expect(rounds(await node.log.messages(1, from: number)) == [UInt64(number)])
                }
                #expect(node.network.connected == nodes.map(\.identity.node).filter { $0 != node.identity.node })
            }
            for node in nodes { await node.network.shutdown() }
        }
    }

    @Test func `a large value passes whole`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            _ = try await connect(first, second)
            let key = try Key("large")
            let record = Record(key: key, version: .zero, value: [UInt8](repeating: 9, count: 64 << 20))
            let message = PeerMessage.machine(
                PartitionID(1), Header(epoch: 1, ballot: .zero, purgeEpoch: 0), .accept(key, record))
            first.network.send([message, confirm(1)], to: NodeID(2))
            // The small one finds no room beside it, or follows it.
            let received = await second.log.messages(1).joined().map(Compared.init)
            #expect(received.first == Compared(message: message))
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `a peer that comes back is connected again and the reports alternate`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            let (firstPort, secondPort) = try await connect(first, second)
            await second.network.shutdown()
            await first.log.disconnections(from: 2)
            // There are two connections, and the first to close ends the peering. What is written to the other one meanwhile
            // goes nowhere and nobody can count it.
            let deadline = ContinuousClock.now + .seconds(30)
            while first.network.counters.dropped == 0, ContinuousClock.now < deadline {
                first.send([1], to: 2)
                try await Task.sleep(for: .milliseconds(1))
            }
            #expect(first.network.counters.dropped == 1, "what is sent to a peer that is gone is counted")

            let again = TestNode(2, boot: 2, port: secondPort, group: group)
            again.network.update(peers: [first.address(port: firstPort)])
            #expect(try await again.network.start() == secondPort)
            await first.log.connections(2, to: 2)
            first.send([2], to: 2)
            #expect(rounds(await again.log.messages(1)) == [2])
            let reports = first.log.events.compactMap { event -> Bool? in
                switch event {
                case .connected: true
                case .disconnected: false
                default: nil
                }
            }
            #expect(reports.enumerated().allSatisfy { $0.element == $0.offset.isMultiple(of: 2) })
            await first.network.shutdown()
            await again.network.shutdown()
        }
    }

    @Test func `a changed address is dialled and a removed peer is dropped`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            let (firstPort, _) = try await connect(first, second)
            await second.network.shutdown()
            let moved = TestNode(2, boot: 2, group: group)
            moved.network.update(peers: [first.address(port: firstPort)])
            let port = try await moved.network.start()
            first.network.update(peers: [moved.address(port: port)])
            await first.log.connections(2, to: 2)
            await moved.log.connections(to: 1)
            first.network.update(peers: [])
            await first.log.disconnections(2, from: 2)
            await moved.log.disconnections(from: 1)
            await moved.log.turnedAway("not in this node's cluster map")
            #expect(first.network.connected.isEmpty)
            await first.network.shutdown()
            await moved.network.shutdown()
        }
    }

    @Test func `another identity closes what was opened under the old one`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            let (firstPort, _) = try await connect(first, second)
            let identity = NodeIdentity(cluster: 7, node: NodeID(3), name: "node1", incarnation: 5, boot: 1)
            first.network.update(identity: identity)
            await first.log.disconnections(from: 2)
            await second.log.disconnections(from: 1)
            second.network.update(peers: [
                PeerAddress(
                    node: NodeID(3), name: "node1", host: "127.0.0.1", port: firstPort, incarnation: 5, boot: 1)
            ])
            await second.log.connections(to: 3)
            await first.log.connections(2, to: 2)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `a full queue drops the newest and counts them`() async throws {
        try await withGroup { group in
            var settings = PeerNetworkSettings()
            settings.maximumQueueBytes = 10_000
            let first = TestNode(1, settings: settings, group: group)
            let second = TestNode(2, group: group)
            _ = try await connect(first, second)
            // One call holds the lock throughout: the loop can't take anything in between.
            first.send(0..<1_000, to: 2)
            let dropped = first.network.counters.dropped
            #expect(dropped > 800 && dropped < 1_000)
            let kept = 1_000 - dropped
            #expect(rounds(await second.log.messages(Int(kept))) == Array(0..<kept))
            // There is room again.
            first.send([5_000], to: 2)
            #expect(rounds(await second.log.messages(Int(kept) + 1)).last == 5_000)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `a port in use is named`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let port = try await first.network.start()
            let second = TestNode(2, port: port, group: group)
            let error = await #expect(throws: PeerNetworkError.self) { try await second.network.start() }
            #expect(error?.code == .addressInUse)
            #expect(error?.message.contains("127.0.0.1:\(port)") == true)
            let again = await #expect(throws: PeerNetworkError.self) { try await first.network.start() }
            #expect(again?.code == .started)
            await first.network.shutdown()
            await second.network.shutdown()
        }
    }

    @Test func `shutdown leaves nothing open and may come twice`() async throws {
        try await withGroup { group in
            let first = TestNode(1, group: group)
            let second = TestNode(2, group: group)
            let (port, _) = try await connect(first, second)
            await first.network.shutdown()
            await first.network.shutdown()
            #expect(first.network.connected.isEmpty)
            await second.log.disconnections(from: 1)
            // The port is free.
            let third = TestNode(3, port: port, group: group)
            #expect(try await third.network.start() == port)
            first.send([1], to: 2)
            first.network.update(peers: [second.address(port: 1)])
            let error = await #expect(throws: PeerNetworkError.self) { try await first.network.start() }
            #expect(error?.code == .closed)
            await second.network.shutdown()
            await third.network.shutdown()
        }
    }
}
