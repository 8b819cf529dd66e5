public import KVProtocols
public import Logging
public import NIOCore

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// The links of one node to its peers over TCP.
///
/// Every node dials every peer and sends over what it dialled; what it accepts it only listens to. All of it runs on
/// one event loop of the group, on which `onEvent` is called too, in order, and must not block. What is sent may be
/// lost whenever a link breaks; what arrives is in order per link and never twice.
///
/// `shutdown` must be called before the last reference goes.
public final class PeerNetwork: PeerLinks, Sendable {
    private let hub: PeerHub
    private let directory = PeerDirectory()
    private let host: String
    private let port: Int

    /// Opens nothing yet. Without a cluster or a node number in `identity` nobody is dialled or let in.
    /// - Parameter listen: where peers reach this node; port 0 lets the system choose.
    public init(
        identity: NodeIdentity, listen: (host: String, port: Int), group: any EventLoopGroup,
        settings: PeerNetworkSettings, logger: Logger, onEvent: @escaping @Sendable (PeerEvent) -> Void
    ) {
        host = listen.host
        port = listen.port
        hub = PeerHub(
            identity: identity, loop: group.next(), settings: settings, directory: directory, logger: logger,
            onEvent: onEvent)
    }

    /// Listens and begins to dial. Give the peers before: who comes and is not known is turned away and comes later.
    /// - Returns: the port that is listened on.
    public func start() async throws(PeerNetworkError) -> Int {
        do {
            return try await hub.loop.flatSubmit { [hub, host, port] in hub.listen(host: host, port: port) }.get()
        } catch let error as PeerNetworkError {
            throw error
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw PeerNetworkError(
                .addressInUse,
                "the peer address \(host):\(port) is in use; stop the process that uses it or configure another port",
                cause: "\(error)")
        } catch {
            throw PeerNetworkError(
                .cannotListen,
                "can't listen for peers on \(host):\(port); configure an address of this machine and a port that is allowed",
                cause: "\(error)")
        }
    }

    /// Takes over a list of peers: dials new ones, drops the connections of those that are missing or have another
    /// incarnation, dials changed addresses anew. The node itself may be in the list. Returns at once.
    public func update(peers: [PeerAddress]) {
        hub.loop.execute { [hub] in hub.setPeers(peers) }
    }

    /// Takes over another identity: every connection is closed, and dialled again under the new one. Returns at once.
    public func update(identity: NodeIdentity) {
        hub.loop.execute { [hub] in hub.setIdentity(identity) }
    }

    /// From any thread. One lock, O(messages); the event loop is woken once for all that is sent until it comes.
    public func send(_ messages: [PeerMessage], to node: NodeID) {
        guard let outbox = directory.outbox(of: node) else {
            return directory.count { $0.dropped += UInt64(messages.count) }
        }
        let (wake, dropped) = outbox.append(messages)
        if dropped > 0 { directory.count { $0.dropped += UInt64(dropped) } }
        if wake { hub.loop.execute { [hub] in hub.links[node]?.outgoing?.drain() } }
    }

    /// The peers last reported as connected, ascending.
    public var connected: [NodeID] { directory.connected }

    public var counters: PeerCounters { directory.counters }

    /// Closes everything and returns when nothing is open; connected peers are reported as disconnected, then nothing
    /// more is reported. Afterwards every call is harmless and does nothing. Calling it twice is harmless.
    public func shutdown() async {
        await withCheckedContinuation { continuation in
            hub.loop.flatSubmit { [hub] in hub.shutDown() }.whenComplete { _ in continuation.resume() }
        }
    }
}
