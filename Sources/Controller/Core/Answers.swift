public import KVProtocols

// What the queries answer: each of these types is the JSON of one HTTP answer.

/// `GET /health`.
public struct HealthAnswer: Hashable, Sendable, Encodable {
    public enum Verdict: String, Hashable, Sendable, Encodable {
        case ok, degraded, failed, starting
    }

    public struct NodeCounts: Hashable, Sendable, Encodable {
        public var up: Int
        public var down: Int
        public var total: Int
    }

    public var status = "controller up"
    /// Nodes that are up.
    public var workersCount: Int
    public var verdict: Verdict
    /// Why the verdict is not `ok`, in sentences.
    public var reasons: [String]
    public var cluster: String
    public var mapEpoch: UInt64
    public var nodes: NodeCounts
    public var partitions: PartitionSummary
    /// The nodes that were lost at once, while nothing is moved because of it and nobody has acknowledged it; absent
    /// otherwise.
    public var alarm: [String]?
    /// The controller can store its state: what it says of the cluster outlasts it.
    public var storable: Bool

    private enum CodingKeys: String, CodingKey {
        case status, verdict, reasons, cluster, nodes, partitions, alarm, storable
        case workersCount = "workers_count"
        case mapEpoch = "map_epoch"
    }
}

/// How many partitions are in which state.
public struct PartitionSummary: Hashable, Sendable, Encodable {
    public var total = 0
    public var ok = 0
    public var moving = 0
    public var underReplicated = 0
    public var leaderless = 0
    /// Those that should move and have not begun to: not a state of its own.
    public var waiting = 0

    private enum CodingKeys: String, CodingKey {
        case total, ok, moving, leaderless, waiting
        case underReplicated = "under_replicated"
    }
}

/// `GET /map?key=`.
public struct KeyMapAnswer: Hashable, Sendable, Encodable {
    public var key: String
    public var slot: Int
    public var partition: Int
    public var epoch: UInt64
    /// The preferred leader.
    public var primary: String
    /// `nil` (null) while nobody leads.
    public var leader: String?
    public var replicas: [String]
    public var addresses: [String: String]

    private enum CodingKeys: String, CodingKey {
        case key, slot, partition, epoch, primary, leader, replicas, addresses
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(key, forKey: .key)
        try container.encode(slot, forKey: .slot)
        try container.encode(partition, forKey: .partition)
        try container.encode(epoch, forKey: .epoch)
        try container.encode(primary, forKey: .primary)
        try container.encode(leader, forKey: .leader)
        try container.encode(replicas, forKey: .replicas)
        try container.encode(addresses, forKey: .addresses)
    }
}

/// `GET /map`.
public struct MapAnswer: Hashable, Sendable, Encodable {
    public struct Node: Hashable, Sendable, Encodable {
        public var name: String
        public var id: NodeID
        public var address: String
        public var peerAddress: String
        public var zone: String
        public var draining: Bool

        private enum CodingKeys: String, CodingKey {
            case name, id, address, zone, draining
            case peerAddress = "peer_address"
        }
    }

    public struct Partition: Hashable, Sendable, Encodable {
        public var partition: Int
        public var epoch: UInt64
        public var members: [String]
        /// `nil` (null) while no move is under way.
        public var previous: [String]?
        public var leader: String?

        private enum CodingKeys: String, CodingKey {
            case partition, epoch, members, previous, leader
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(partition, forKey: .partition)
            try container.encode(epoch, forKey: .epoch)
            try container.encode(members, forKey: .members)
            try container.encode(previous, forKey: .previous)
            try container.encode(leader, forKey: .leader)
        }
    }

    public var cluster: String
    public var epoch: UInt64
    public var policy: ReplicationPolicy
    public var nodes: [Node]
    public var partitions: [Partition]
}

/// `GET /partitions`.
public struct PartitionsAnswer: Hashable, Sendable, Encodable {
    public enum State: String, Hashable, Sendable, Encodable {
        case ok, moving
        case underReplicated = "under_replicated"
        case leaderless
    }

    public struct Partition: Hashable, Sendable, Encodable {
        public var partition: Int
        public var epoch: UInt64
        public var members: [String]
        public var previous: [String]?
        public var leader: String?
        /// The leader knows every key, under the newest configuration.
        public var synced: Bool
        /// Members known to lag behind.
        public var lagging: [String]
        public var state: State
        /// Absent while no keys are compared or copied.
        public var progress: Progress?

        private enum CodingKeys: String, CodingKey {
            case partition, epoch, members, previous, leader, synced, lagging, state, progress
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(partition, forKey: .partition)
            try container.encode(epoch, forKey: .epoch)
            try container.encode(members, forKey: .members)
            try container.encode(previous, forKey: .previous)
            try container.encode(leader, forKey: .leader)
            try container.encode(synced, forKey: .synced)
            try container.encode(lagging, forKey: .lagging)
            try container.encode(state, forKey: .state)
            try container.encodeIfPresent(progress, forKey: .progress)
        }
    }

    /// How far the leader's walk through a partition's keys has come. What is left is estimated, and so are all bytes.
    public struct Progress: Hashable, Sendable, Encodable {
        public var keys: UInt64
        public var keysLeft: UInt64
        public var bytes: UInt64
        public var bytesLeft: UInt64
        /// Absent until there is a speed to judge by.
        public var millisecondsLeft: Int?

        private enum CodingKeys: String, CodingKey {
            case keys, bytes
            case keysLeft = "keys_left"
            case bytesLeft = "bytes_left"
            case millisecondsLeft = "ms_left"
        }
    }

    public var summary: PartitionSummary
    /// What moves are under way for, oldest first.
    public var work: [WorkAnswer]
    /// Problems first, then in order of partition.
    public var partitions: [Partition]
}

/// Moves that belong together: an entry of `work` in `GET /partitions`.
public struct WorkAnswer: Hashable, Sendable, Encodable {
    /// `repair`, `drain` or `rebalance`.
    public var kind: String
    /// The node that loses its replicas; absent for rebalancing.
    public var node: String?
    public var partitions: Int
    /// How many of them have not moved yet.
    public var partitionsLeft: Int
    /// Compared and copied so far, as far as leaders reported it.
    public var keys: UInt64
    /// Estimated.
    public var bytes: UInt64
    public var runningMilliseconds: Int
    /// Estimated from the time so far; absent at the beginning.
    public var millisecondsLeft: Int?

    private enum CodingKeys: String, CodingKey {
        case kind, node, partitions, keys, bytes
        case partitionsLeft = "partitions_left"
        case runningMilliseconds = "running_ms"
        case millisecondsLeft = "ms_left"
    }
}

/// `GET /events`.
public struct EventsAnswer: Hashable, Sendable, Encodable {
    /// Oldest first.
    public var events: [ClusterEvent]
}

/// A node that requests can be passed on to.
public struct LiveNode: Hashable, Sendable {
    public var name: String
    /// `host:port` of its HTTP server.
    public var address: String
}
