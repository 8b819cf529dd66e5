import KVProtocols
import KVReplication
import KVTransport
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// Everything that a network reported, and a way to wait for what it will report.
final class EventLog: Sendable {
    private struct State {
        var events: [PeerEvent] = []
        var waiters: [(isMet: @Sendable ([PeerEvent]) -> Bool, resume: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    func append(_ event: PeerEvent) {
        let met = state.withLock { state in
            state.events.append(event)
            let events = state.events
            let met = state.waiters.filter { $0.isMet(events) }.map(\.resume)
            state.waiters.removeAll { $0.isMet(events) }
            return met
        }
        for waiter in met { waiter.resume() }
    }

    /// Waits until the condition holds for everything reported so far.
    func until(_ isMet: @escaping @Sendable ([PeerEvent]) -> Bool) async {
        await withCheckedContinuation { continuation in
            let now = state.withLock { state in
                if isMet(state.events) { return true }
                state.waiters.append((isMet, continuation))
                return false
            }
            if now { continuation.resume() }
        }
    }

    var events: [PeerEvent] { state.withLock { $0.events } }

    /// Waits for this many reports of a connection to the node.
    func connections(_ count: Int = 1, to node: UInt32) async {
        await until { $0.count { if case .connected(NodeID(node)) = $0 { true } else { false } } >= count }
    }

    func disconnections(_ count: Int = 1, from node: UInt32) async {
        await until { $0.count { if case .disconnected(NodeID(node)) = $0 { true } else { false } } >= count }
    }

    func turnedAway(_ text: String) async {
        await until { $0.contains { if case .turnedAway(let why) = $0 { why.contains(text) } else { false } } }
    }

    /// Waits for this many messages; gives them in order with the batches that they came in.
    func messages(_ count: Int, from node: UInt32 = 1) async -> [[PeerMessage]] {
        let batches: @Sendable ([PeerEvent]) -> [[PeerMessage]] = { events in
            events.compactMap { if case .received(NodeID(node), let messages) = $0 { messages } else { nil } }
        }
        await until { batches($0).reduce(0) { $0 + $1.count } >= count }
        return batches(events)
    }
}

/// A network with its log.
struct TestNode: Sendable {
    let network: PeerNetwork
    let log = EventLog()
    let identity: NodeIdentity

    init(
        _ node: UInt32, cluster: UInt64 = 7, incarnation: UInt64 = 1, boot: UInt64 = 1,
        settings: PeerNetworkSettings = PeerNetworkSettings(), port: Int = 0, group: MultiThreadedEventLoopGroup
    ) {
        identity = NodeIdentity(
            cluster: cluster, node: NodeID(node), name: "node\(node)", incarnation: incarnation, boot: boot)
        let log = log
        network = PeerNetwork(
            identity: identity, listen: ("127.0.0.1", port), group: group, settings: settings,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), onEvent: { log.append($0) })
    }

    func address(port: Int, incarnation: UInt64 = 1, boot: UInt64 = 1) -> PeerAddress {
        PeerAddress(
            node: identity.node, name: identity.name, host: "127.0.0.1", port: port, incarnation: incarnation,
            boot: boot)
    }

    /// A peer that is known but that nobody listens for.
    static func unreachable(_ node: UInt32, incarnation: UInt64 = 1, boot: UInt64 = 1) -> PeerAddress {
        PeerAddress(
            node: NodeID(node), name: "node\(node)", host: "127.0.0.1", port: 1, incarnation: incarnation, boot: boot)
    }

    func send(_ numbers: some Sequence<UInt64>, to node: UInt32) {
        network.send(numbers.map(confirm), to: NodeID(node))
    }
}

func confirm(_ round: UInt64) -> PeerMessage {
    .machine(PartitionID(1), Header(epoch: 1, ballot: .zero, purgeEpoch: 0), .confirm(round: round))
}

func rounds(_ batches: [[PeerMessage]]) -> [UInt64] {
    batches.joined().compactMap {
        if case .machine(_, _, .confirm(let round)) = $0 { round } else { nil }
    }
}

/// Runs a test with a group of its own, and ends it.
func withGroup(_ body: (MultiThreadedEventLoopGroup) async throws -> Void) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    do {
        try await body(group)
    } catch {
        try await group.shutdownGracefully()
        throw error
    }
    try await group.shutdownGracefully()
}

/// Starts two nodes that know each other and waits until both are connected both ways.
func connect(_ first: TestNode, _ second: TestNode) async throws -> (Int, Int) {
    let ports = (try await first.network.start(), try await second.network.start())
    first.network.update(peers: [second.address(port: ports.1)])
    second.network.update(peers: [first.address(port: ports.0)])
    await first.log.connections(to: second.identity.node.rawValue)
    await second.log.connections(to: first.identity.node.rawValue)
    return ports
}

/// A bare connection to a node's port, whose bytes the test writes and reads itself.
struct BareConnection {
    let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func open(port: Int, group: MultiThreadedEventLoopGroup) async throws -> BareConnection {
        let channel = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        return BareConnection(channel: channel)
    }

    /// Writes, then reads until the other side closes; gives what it said. A reset counts as a close.
    func exchange(_ frames: [ByteBuffer]) async throws -> [UInt8] {
        try await channel.executeThenClose { inbound, outbound in
            var answer: [UInt8] = []
            do {
                for frame in frames { try await outbound.write(frame) }
                for try await part in inbound { answer += Array(part.readableBytesView) }
            } catch is IOError {
                return answer
            }
            return answer
        }
    }
}

/// A greeting as the wire has it, written independently of the code under test.
func hello(
    from node: UInt32, to meant: UInt32, cluster: UInt64 = 7, incarnation: UInt64 = 1, boot: UInt64 = 1,
    generation: UInt64 = 1, version: UInt16 = 2
) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.writeInteger(UInt32(49), endianness: .little)
    buffer.writeInteger(UInt8(1))
    buffer.writeString("KVPL")
    buffer.writeInteger(version, endianness: .little)
    buffer.writeInteger(cluster, endianness: .little)
    buffer.writeInteger(node, endianness: .little)
    buffer.writeInteger(incarnation, endianness: .little)
    buffer.writeInteger(boot, endianness: .little)
    buffer.writeInteger(meant, endianness: .little)
    buffer.writeInteger(generation, endianness: .little)
    buffer.writeInteger(UInt16(0), endianness: .little)
    return buffer
}

func frame(_ messages: [PeerMessage]) throws -> ByteBuffer {
    var position = 0
    return try #require(PeerCodec.frame(of: messages, from: &position, allocator: ByteBufferAllocator())).buffer
}
