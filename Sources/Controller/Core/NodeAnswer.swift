public import KVProtocols

/// `GET /nodes`.
public struct NodesAnswer: Hashable, Sendable, Encodable {
    /// Problems first, then by name.
    public var nodes: [NodeAnswer]
}

/// `GET /nodes/{name}`, and an entry of `GET /nodes`.
public struct NodeAnswer: Hashable, Sendable, Encodable {
    /// Problems first.
    public enum State: String, Hashable, Sendable, Encodable, CaseIterable {
        /// It can't make writes durable, or was refused.
        case failed
        case down
        case suspect
        /// Up, and limited: its disk is full or can't be written. It keeps its replicas and gets no more.
        case degraded
        /// Configured, and never heard of.
        case waiting
        case draining
        /// A member that holds nothing yet.
        case joining
        case up

        var rank: Int { State.allCases.firstIndex(of: self) ?? 0 }
    }

    public var name: String
    /// 0 while it is no member.
    public var id: NodeID
    public var state: State
    /// Why it is in that state, or what limits it, in sentences.
    public var reasons: [String]
    public var address: String
    public var peerAddress: String
    public var zone: String
    /// Its share of replicas compared with other nodes.
    public var weight: Int
    public var backend: String
    public var keys: UInt64
    public var bytesOnDisk: UInt64
    public var replicas: Int
    /// How many partitions it leads now.
    public var leading: Int
    /// `nil` (null) when no heartbeat came since the controller started.
    public var lastHeartbeatMillisecondsAgo: Int?
    /// In hexadecimal digits.
    public var incarnation: String
    public var boot: UInt64
    public var version: String
    /// The numbers of the partitions that it holds; absent in the list of nodes.
    public var partitions: [Int]?

    private enum CodingKeys: String, CodingKey {
        case name, id, state, reasons, address, zone, weight, backend, keys, replicas, leading, incarnation, boot,
            version
        case partitions
        case peerAddress = "peer_address"
        case bytesOnDisk = "bytes_on_disk"
        case lastHeartbeatMillisecondsAgo = "last_heartbeat_ms_ago"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(id, forKey: .id)
        try container.encode(state, forKey: .state)
        try container.encode(reasons, forKey: .reasons)
        try container.encode(address, forKey: .address)
        try container.encode(peerAddress, forKey: .peerAddress)
        try container.encode(zone, forKey: .zone)
        try container.encode(weight, forKey: .weight)
        try container.encode(backend, forKey: .backend)
        try container.encode(keys, forKey: .keys)
        try container.encode(bytesOnDisk, forKey: .bytesOnDisk)
        try container.encode(replicas, forKey: .replicas)
        try container.encode(leading, forKey: .leading)
        try container.encode(lastHeartbeatMillisecondsAgo, forKey: .lastHeartbeatMillisecondsAgo)
        try container.encode(incarnation, forKey: .incarnation)
        try container.encode(boot, forKey: .boot)
        try container.encode(version, forKey: .version)
        try container.encodeIfPresent(partitions, forKey: .partitions)
    }
}
