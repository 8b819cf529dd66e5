public import KVProtocols
public import KVReplication

/// How a node is set up; everything comes from the configuration file.
public struct NodeSettings: Sendable {
    public var name: String
    public var clusterName: String
    public var policy: ReplicationPolicy
    public var partitions: Int
    /// `host:port` as told to clients, the controller and peers.
    public var address: String
    public var peerAddress: String
    public var zone: String
    /// Its share of replicas compared with other nodes; `nil`: the standard.
    public var weight: Int?
    /// The type of the backend, for people.
    public var backend: String
    public var heartbeatMilliseconds: UInt64
    public var maximumValueLength: Int
    /// Client operations that wait or run at the same time; beyond it they are refused as overloaded.
    public var maximumOperations: Int
    public var version: String
    public var machine: MachineSettings

    public init(
        name: String, clusterName: String, policy: ReplicationPolicy, partitions: Int, address: String,
        peerAddress: String, zone: String, weight: Int? = nil, backend: String, heartbeatMilliseconds: UInt64 = 500,
        maximumValueLength: Int = 1 << 20, maximumOperations: Int = 20_000, version: String,
        machine: MachineSettings? = nil
    ) {
        self.name = name
        self.clusterName = clusterName
        self.policy = policy
        self.partitions = partitions
        self.address = address
        self.peerAddress = peerAddress
        self.zone = zone
        self.weight = weight
        self.backend = backend
        self.heartbeatMilliseconds = heartbeatMilliseconds
        self.maximumValueLength = maximumValueLength
        self.maximumOperations = maximumOperations
        self.version = version
        self.machine = machine ?? MachineSettings(partitions: partitions)
    }

    /// The key of the digests' hash: the same on every node of a cluster, and known before the cluster's id is.
    public var digestSeed: UInt64 {
        clusterName.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

/// The way to the controller: one call per heartbeat.
public protocol ControllerLink: Sendable {
    /// - Throws: when the controller can't be reached or does not answer in time; the node works on without it.
    func heartbeat(_ heartbeat: Heartbeat) async throws -> HeartbeatReply
}
