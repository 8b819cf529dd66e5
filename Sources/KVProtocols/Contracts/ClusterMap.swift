/// What the controller publishes: every partition's configuration, the nodes, the policy. A newer epoch replaces an
/// older one, whoever brings it.
public struct ClusterMap: Hashable, Sendable, Codable {
    /// Drawn at random when the cluster was created.
    public var cluster: UInt64
    public var name: String
    /// Only grows.
    public var epoch: UInt64
    public var policy: ReplicationPolicy
    /// In order of node id. Removed nodes are absent.
    public var nodes: [NodeInfo]
    /// Entry i belongs to partition i; the count is a power of two fixed for the life of the cluster.
    public var partitions: [Configuration]

    public init(
        cluster: UInt64, name: String, epoch: UInt64, policy: ReplicationPolicy, nodes: [NodeInfo],
        partitions: [Configuration]
    ) {
        self.cluster = cluster
        self.name = name
        self.epoch = epoch
        self.policy = policy
        self.nodes = nodes
        self.partitions = partitions
    }

    public func node(_ id: NodeID) -> NodeInfo? { nodes.first { $0.id == id } }
    public func node(named name: String) -> NodeInfo? { nodes.first { $0.name == name } }

    public func partition(of key: Key) -> PartitionID { key.partition(of: partitions.count) }
}

/// A node as the cluster knows it: where to reach it, and what it must at least be to be believed.
public struct NodeInfo: Hashable, Sendable, Codable {
    public var id: NodeID
    public var name: String
    /// `host:port` at which clients and the controller reach its HTTP server.
    public var address: String
    /// `host:port` at which peers reach it.
    public var peerAddress: String
    public var incarnation: UInt64
    /// The boot counter that the controller has seen; a peer that shows a lower one was rolled back.
    public var boot: UInt64
    /// Replicas of a partition are kept in different zones where there are enough. Empty: a zone of its own.
    public var zone: String
    /// Its replicas are being moved away.
    public var isDraining: Bool

    public init(
        id: NodeID, name: String, address: String, peerAddress: String, incarnation: UInt64, boot: UInt64,
        zone: String = "", isDraining: Bool = false
    ) {
        self.id = id
        self.name = name
        self.address = address
        self.peerAddress = peerAddress
        self.incarnation = incarnation
        self.boot = boot
        self.zone = zone
        self.isDraining = isDraining
    }

    private enum CodingKeys: String, CodingKey {
        case id, name, address, incarnation, boot, zone
        case peerAddress = "peer_address"
        case isDraining = "draining"
    }
}
