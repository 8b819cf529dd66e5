public import KVProtocols

/// What the configuration file says about the cluster, as far as the controller acts on it.
public struct ControllerSettings: Hashable, Sendable {
    /// The cluster's name; free text for people.
    public var cluster: String
    /// A power of two from 1 to 16384. Used when the cluster is created, later the stored number counts.
    public var partitions: Int
    /// Used when the cluster is created, later the stored policy counts.
    public var policy: ReplicationPolicy
    /// The names of the nodes in the order in which the first map places them. Empty: any name may join.
    public var nodes: [String]
    /// How often nodes send a heartbeat.
    public var heartbeatMilliseconds: Int
    /// Silence after which a node is down.
    public var failAfterMilliseconds: Int
    /// How long a node is down before its replicas go to others.
    public var replaceAfterMilliseconds: Int
    /// How long the first map waits for configured nodes that are missing.
    public var bootstrapWaitMilliseconds: Int
    /// How many partitions may be in the middle of a move at once.
    public var movesInFlight: Int
    /// In how many of them one node may receive a copy, and in how many it may send them.
    public var movesPerNode: Int

    public init(
        cluster: String, partitions: Int = 64, policy: ReplicationPolicy = .standard, nodes: [String],
        heartbeatMilliseconds: Int = 500, failAfterMilliseconds: Int = 3000, replaceAfterMilliseconds: Int = 5000,
        bootstrapWaitMilliseconds: Int = 10_000, movesInFlight: Int = 8,
        movesPerNode: Int = 4
    ) {
        self.cluster = cluster
        self.partitions = partitions
        self.policy = policy
        self.nodes = nodes
        self.heartbeatMilliseconds = heartbeatMilliseconds
        self.failAfterMilliseconds = failAfterMilliseconds
        self.replaceAfterMilliseconds = replaceAfterMilliseconds
        self.bootstrapWaitMilliseconds = bootstrapWaitMilliseconds
        self.movesInFlight = movesInFlight
        self.movesPerNode = movesPerNode
    }

    /// How many different nodes the registry holds at most, whoever knocks.
    static let maximumNodes = 256
}
