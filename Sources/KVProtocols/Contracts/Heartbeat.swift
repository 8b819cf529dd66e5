/// What a node tells the controller every `heartbeat_ms`, as JSON in the body of `POST /internal/heartbeat`.
public struct Heartbeat: Hashable, Sendable, Codable {
    public var name: String
    /// 0 until the controller has given one.
    public var node: NodeID
    /// 0 until the node belongs to a cluster.
    public var cluster: UInt64
    public var incarnation: UInt64
    public var boot: UInt64
    /// The highest journal position known to be durable; only grows. One that is lower than the controller has seen
    /// from this node shows a data folder that was rolled back, even within one boot.
    public var durable: UInt64
    public var address: String
    public var peerAddress: String
    public var zone: String
    public var mapEpoch: UInt64
    public var backend: String
    public var health: Health
    public var keys: UInt64
    public var bytesOnDisk: UInt64
    /// The partitions that this node leads.
    public var leading: [Leading]
    public var version: String
    /// Its share of replicas compared with other nodes; absent: 100.
    public var weight: Int?

    public struct Health: Hashable, Sendable, Codable {
        /// `false` when the node's storage failed: it is then treated as failed.
        public var ok: Bool
        /// Why it is not, or what limits it, such as a full disk, in sentences for a person. A node that is limited is
        /// degraded: it keeps its replicas and gets no more.
        public var reasons: [String]

        public init(ok: Bool, reasons: [String] = []) {
            self.ok = ok
            self.reasons = reasons
        }
    }

    public struct Leading: Hashable, Sendable, Codable {
        public var partition: PartitionID
        public var ballot: Ballot
        /// The epoch of the configuration under which it leads.
        public var epoch: UInt64
        /// Every key is known, and in the middle of a move: the new members hold everything.
        public var synced: Bool
        /// Members that are known to lag behind, at the moment; empty when all replicas are equal.
        public var lagging: [NodeID]
        /// Present while keys are compared and copied: in the middle of a move, for a member that lags, or for a new
        /// leader.
        public var progress: Progress?

        public init(
            partition: PartitionID, ballot: Ballot, epoch: UInt64, synced: Bool, lagging: [NodeID],
            progress: Progress? = nil
        ) {
            self.partition = partition
            self.ballot = ballot
            self.epoch = epoch
            self.synced = synced
            self.lagging = lagging
            self.progress = progress
        }
    }

    /// How far the walk through a partition's keys has come.
    public struct Progress: Hashable, Sendable, Codable {
        /// Keys that are behind it.
        public var keys: UInt64
        /// Keys before it: an estimate, from the mean of the leader's partitions.
        public var keysLeft: UInt64
        /// What those keys take up: estimates, from the mean of the leader's records on disk.
        public var bytes: UInt64
        public var bytesLeft: UInt64

        public init(keys: UInt64, keysLeft: UInt64, bytes: UInt64, bytesLeft: UInt64) {
            self.keys = keys
            self.keysLeft = keysLeft
            self.bytes = bytes
            self.bytesLeft = bytesLeft
        }

        private enum CodingKeys: String, CodingKey {
            case keys, bytes
            case keysLeft = "keys_left"
            case bytesLeft = "bytes_left"
        }
    }

    public init(
        name: String, node: NodeID, cluster: UInt64, incarnation: UInt64, boot: UInt64, durable: UInt64,
        address: String, peerAddress: String, zone: String, mapEpoch: UInt64, backend: String, health: Health,
        keys: UInt64, bytesOnDisk: UInt64, leading: [Leading], version: String, weight: Int? = nil
    ) {
        self.name = name
        self.node = node
        self.cluster = cluster
        self.incarnation = incarnation
        self.boot = boot
        self.durable = durable
        self.address = address
        self.peerAddress = peerAddress
        self.zone = zone
        self.mapEpoch = mapEpoch
        self.backend = backend
        self.health = health
        self.keys = keys
        self.bytesOnDisk = bytesOnDisk
        self.leading = leading
        self.version = version
        self.weight = weight
    }

    private enum CodingKeys: String, CodingKey {
        case name, node, cluster, incarnation, boot, durable, address, zone, backend, health, keys, leading, version
        case weight
        case peerAddress = "peer_address"
        case mapEpoch = "map_epoch"
        case bytesOnDisk = "bytes_on_disk"
    }
}

/// The controller's answer to a heartbeat.
public struct HeartbeatReply: Hashable, Sendable, Codable {
    public enum Verdict: String, Hashable, Sendable, Codable {
        /// Go on; adopt `map` if there is one.
        case welcome
        /// Take `node` and `cluster` as the new identity, drop every replica of the old one, then heartbeat again.
        case newIdentity = "new_identity"
        /// This data folder does not belong here; `reason` says why. The node serves nothing until a person acts.
        case refused
    }

    public var verdict: Verdict
    public var reason: String
    public var cluster: UInt64
    public var node: NodeID
    /// Present when newer than the epoch in the heartbeat.
    public var map: ClusterMap?
    /// In how many milliseconds the next heartbeat is wanted, when that is sooner than usual: a move waits for what it
    /// will say.
    public var nextMilliseconds: Int?

    public init(
        verdict: Verdict, reason: String = "", cluster: UInt64, node: NodeID, map: ClusterMap? = nil,
        nextMilliseconds: Int? = nil
    ) {
        self.verdict = verdict
        self.reason = reason
        self.cluster = cluster
        self.node = node
        self.map = map
        self.nextMilliseconds = nextMilliseconds
    }
}
