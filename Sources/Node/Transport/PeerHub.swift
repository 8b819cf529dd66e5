internal import KVProtocols
internal import Logging
internal import NIOCore
internal import NIOPosix

/// All links of a node, on one event loop: who is dialled, who is let in, who is reported.
///
/// `@unchecked Sendable`: everything but the constants is used only on `loop`'s thread, which every entrance from
/// elsewhere hops to first.
final class PeerHub: @unchecked Sendable {
    enum Phase {
        case idle, starting, running, closed
    }

    let loop: any EventLoop
    let settings: PeerNetworkSettings
    let directory: PeerDirectory
    let logger: Logger
    let onEvent: @Sendable (PeerEvent) -> Void

    var identity: NodeIdentity
    var phase = Phase.idle
    var listener: (any Channel)?
    /// Done once listening succeeded or failed.
    var binding: EventLoopFuture<Int>?
    var ticker: RepeatedTask?
    var tickedAt = NIODeadline.now()
    var links: [NodeID: PeerLink] = [:]
    /// Every open connection, by its channel.
    var connections: [ObjectIdentifier: PeerConnection] = [:]
    /// Dials under way, by number.
    var dials: [UInt64: EventLoopFuture<any Channel>] = [:]
    var lastGeneration: UInt64 = 0
    private var reasons: [(text: String, until: NIODeadline)] = []

    init(
        identity: NodeIdentity, loop: any EventLoop, settings: PeerNetworkSettings, directory: PeerDirectory,
        logger: Logger, onEvent: @escaping @Sendable (PeerEvent) -> Void
    ) {
        self.identity = identity
        self.loop = loop
        self.settings = settings
        self.directory = directory
        self.logger = logger
        self.onEvent = onEvent
    }

    /// A node without a number or a cluster has no peers.
    var hasIdentity: Bool { identity.cluster != 0 && identity.node.rawValue != 0 }

    // MARK: - What the node knows

    func setPeers(_ addresses: [PeerAddress]) {
        guard phase != .closed else { return }
        var wanted: [NodeID: PeerAddress] = [:]
        for address in addresses where address.node != identity.node { wanted[address.node] = address }
        for (node, link) in links where wanted[node] == nil { remove(link) }
        for address in addresses where wanted[address.node] == address {
            if let link = links[address.node] {
                change(link, to: address)
            } else {
                let link = PeerLink(address, settings: settings)
                links[address.node] = link
                directory.setOutbox(link.outbox, of: address.node)
                dial(link)
            }
        }
    }

    private func remove(_ link: PeerLink) {
        disconnect(link)
        links[link.address.node] = nil
        directory.setOutbox(nil, of: link.address.node)
        link.redial?.cancel()
        link.dialling = nil
    }

    private func change(_ link: PeerLink, to address: PeerAddress) {
        let old = link.address
        link.address = address
        if old.incarnation != address.incarnation {
            link.boot = address.boot
            disconnect(link)
        } else if old.host != address.host || old.port != address.port {
            link.wait = settings.redialMinimum
            link.outgoing?.close()
        }
        learn(boot: address.boot, of: link)
        if link.outgoing == nil, old != address { dial(link) }
    }

    func setIdentity(_ new: NodeIdentity) {
        guard phase != .closed, new != identity else { return }
        identity = new
        if let own = links[new.node] { remove(own) }
        for link in links.values {
            disconnect(link)
            dial(link)
        }
    }

    /// Closes both connections of a link.
    private func disconnect(_ link: PeerLink) {
        link.outgoing?.close()
        link.incoming?.close()
        report(link)
    }

    /// A process with a newer boot counter runs: connections to or from an older one are dead, whether they know it or not.
    func learn(boot: UInt64, of link: PeerLink) {
        guard boot > link.boot else { return }
        link.boot = boot
        if let outgoing = link.outgoing, outgoing.isEstablished, outgoing.boot < boot { outgoing.close() }
        if let incoming = link.incoming, incoming.boot < boot { incoming.close() }
    }

    // MARK: - What the node hears

    func received(_ messages: [PeerMessage], on connection: PeerConnection) {
        guard let node = connection.node, links[node]?.incoming === connection else { return }
        onEvent(.received(from: node, messages))
    }

    /// Reports a link that came up or went down since it was last reported.
    func report(_ link: PeerLink) {
        guard link.isUp != link.isReported else { return }
        link.isReported = link.isUp
        let node = link.address.node
        directory.setConnected(link.isReported, node)
        logger.debug("\(link.isReported ? "connected to peer" : "peer lost")", metadata: ["kv.peer": "\(node)"])
        onEvent(link.isReported ? .connected(node) : .disconnected(node))
    }

    /// Tells the node and the log why someone was turned away, unless it was told the same a moment ago.
    func reportTurnedAway(_ reason: String, level: Logger.Level = .warning) {
        directory.count { $0.turnedAway += 1 }
        let now = NIODeadline.now()
        reasons.removeAll { $0.until <= now }
        guard !reasons.contains(where: { $0.text == reason }) else { return }
        if reasons.count >= 32 { reasons.removeFirst() }
        reasons.append((reason, now + TimeAmount(settings.repeatReason)))
        logger.log(level: level, "peer turned away", metadata: ["kv.reason": "\(reason)"])
        onEvent(.turnedAway(reason))
    }

    func counted(frame bytes: Int, messages: Int, damaged: Int) {
        directory.count { counters in
            counters.framesIn += 1
            counters.bytesIn += UInt64(bytes)
            counters.messagesIn += UInt64(messages)
            counters.damaged += UInt64(damaged)
        }
    }

    func counted(sentFrames: Int, bytes: Int, messages: Int) {
        directory.count { counters in
            counters.framesOut += UInt64(sentFrames)
            counters.bytesOut += UInt64(bytes)
            counters.messagesOut += UInt64(messages)
        }
    }

    func malformed(_ connection: PeerConnection, _ error: PeerCodecError) {
        directory.count { $0.malformed += 1 }
        logger.warning(
            "connection closed: what came over it can't be read",
            metadata: ["kv.peer": "\(name(of: connection))", "kv.error": "\(error)"])
        // Someone of another version is told so: it can be put right by a person only.
        if case .protocolVersion = error {
            let reason = "node \(identity.name) expected another protocol: \(error)"
            reportTurnedAway(reason)
            connection.close(saying: connection.role == .accepted ? reason : nil)
        } else {
            connection.close()
        }
    }

    func failed(_ connection: PeerConnection, _ error: any Error) {
        logger.debug(
            "connection failed", metadata: ["kv.peer": "\(name(of: connection))", "kv.error": "\(error)"])
    }

    private func name(of connection: PeerConnection) -> String {
        connection.node.map(\.description) ?? connection.channel.remoteAddress?.description ?? "unknown"
    }
}
