public import KVProtocols

/// A peer as the cluster map knows it: where to dial it, and what it must at least be to be believed.
public struct PeerAddress: Hashable, Sendable {
    public var node: NodeID
    public var name: String
    /// A name or a literal address, without brackets.
    public var host: String
    public var port: Int
    public var incarnation: UInt64
    /// The lowest boot counter that is believed.
    public var boot: UInt64

    public init(node: NodeID, name: String, host: String, port: Int, incarnation: UInt64, boot: UInt64) {
        self.node = node
        self.name = name
        self.host = host
        self.port = port
        self.incarnation = incarnation
        self.boot = boot
    }

    /// The peer address of a node of the map; `nil` when its text is not `host:port` (`[host]:port` for IPv6).
    public init?(_ info: NodeInfo) {
        guard let colon = info.peerAddress.lastIndex(of: ":"),
            let port = UInt16(info.peerAddress[info.peerAddress.index(after: colon)...]), port > 0
        else { return nil }
        var host = info.peerAddress[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.init(
            node: info.id, name: info.name, host: String(host), port: Int(port), incarnation: info.incarnation,
            boot: info.boot)
    }
}
