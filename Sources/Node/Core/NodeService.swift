public import KVProtocols
public import KVReplication

/// What a node offers to the HTTP room: any key of the cluster, wherever its leader is. Safe from any thread.
public protocol NodeService: Sendable {
    /// The node's name in the configuration.
    var name: String { get }
    /// The longest value in bytes that a client may write.
    var maximumValueLength: Int { get }

    /// Runs one operation at the leader of its key, here or elsewhere, within `timeoutMilliseconds`.
    /// Waits for an election to end. `completion` is called once with how it ended, on any thread, perhaps before this
    /// returns; it must not block.
    func submit(
        _ operation: Operation, timeoutMilliseconds: Int, completion: @escaping @Sendable (Answer) -> Void)

    /// What this node itself holds of a key, without asking anybody: may be old, may never have been chosen.
    /// - Throws: `StorageError`; `.invalid` when this node is no member of the key's partition.
    func local(_ key: Key) async throws(StorageError) -> Record?

    /// One page of keys in ascending order of bytes over all partitions, each from its leader; live values only.
    func list(_ request: ListRequest) async -> ListReply

    /// What each member of the key's replica set holds.
    func replicas(of key: Key) async -> ReplicasReply

    /// A summary for health, metrics and the start page. Costs O(partitions).
    func status() async -> NodeStatus
}

extension NodeService {
    /// `submit` for those who can wait.
    public func execute(_ operation: Operation, timeoutMilliseconds: Int) async -> Answer {
        await withCheckedContinuation { continuation in
            submit(operation, timeoutMilliseconds: timeoutMilliseconds) { continuation.resume(returning: $0) }
        }
    }
}

/// How an operation ended, and who answered it.
public struct Answer: Hashable, Sendable {
    public var outcome: Outcome
    /// The name of the leader that decided it, if one did.
    public var leader: String?

    public init(outcome: Outcome, leader: String?) {
        self.outcome = outcome
        self.leader = leader
    }
}

public struct ListRequest: Hashable, Sendable {
    /// Only keys that start with these bytes; empty means all.
    public var prefix: [UInt8]
    /// Only keys greater than this.
    public var after: Key?
    /// 1 to 1000.
    public var limit: Int
    public var values: Bool
    /// Only what this node itself holds, without asking anybody.
    public var localOnly: Bool

    public init(prefix: [UInt8], after: Key?, limit: Int, values: Bool, localOnly: Bool) {
        self.prefix = prefix
        self.after = after
        self.limit = limit
        self.values = values
        self.localOnly = localOnly
    }
}

public struct ListReply: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var key: Key
        public var record: Record

        public init(key: Key, record: Record) {
            self.key = key
            self.record = record
        }
    }

    public var entries: [Entry]
    /// Where the next page goes on: keys may follow behind this one, up to which all are in this page. It may lie behind
    /// the last entry, and there may be no entry at all: a page also ends after 4 MiB of values, or when much that is
    /// deleted or damaged was passed over. `nil` at the end.
    public var reach: Key?
    /// Partitions that could not be asked: their keys are missing from this page.
    public var incomplete: [PartitionID]

    public init(entries: [Entry], reach: Key?, incomplete: [PartitionID]) {
        self.entries = entries
        self.reach = reach
        self.incomplete = incomplete
    }

    /// The answer of who can say nothing about any partition.
    static func nothing(of partitions: Int) -> ListReply {
        ListReply(entries: [], reach: nil, incomplete: (0..<partitions).map { PartitionID(UInt16($0)) })
    }
}

public struct ReplicasReply: Hashable, Sendable {
    public struct Replica: Hashable, Sendable {
        public enum State: String, Hashable, Sendable {
            case ok
            /// Nothing is stored for the key.
            case missing
            case damaged
            case unreachable
        }

        public var node: String
        public var isLeader: Bool
        public var state: State
        public var record: Record?

        public init(node: String, isLeader: Bool, state: State, record: Record?) {
            self.node = node
            self.isLeader = isLeader
            self.state = state
            self.record = record
        }
    }

    public var partition: PartitionID
    public var leader: String?
    public var replicas: [Replica]

    public init(partition: PartitionID, leader: String?, replicas: [Replica]) {
        self.partition = partition
        self.leader = leader
        self.replicas = replicas
    }
}

/// A node about itself.
public struct NodeStatus: Hashable, Sendable {
    public var name: String
    /// `nil` until the controller has given one.
    public var id: NodeID?
    public var clusterName: String
    public var mapEpoch: UInt64
    public var backend: String
    /// `false`: it can't make writes durable, or belongs to no cluster yet.
    public var isReady: Bool
    /// Problems in sentences for a person; empty when all is well.
    public var reasons: [String]
    /// Partitions of which this node is a member.
    public var replicas: Int
    public var leading: Int
    /// Partitions without a known leader, as seen from here.
    public var leaderless: Int
    public var connectedPeers: Int
    public var peers: Int
    public var keys: UInt64
    public var bytesOnDisk: UInt64
    public var bytesFree: UInt64
    public var overlayBytes: Int
    public var journalDurable: UInt64
    /// Counters since the start of the process: names `a-z0-9_` without a prefix.
    public var counters: [Counter]
    /// Engine-specific figures of the backend.
    public var backendFigures: [Counter]
    /// Figures that rise and fall: names `a-z0-9_` without a prefix.
    public var gauges: [Counter]

    public struct Counter: Hashable, Sendable {
        public var name: String
        public var help: String
        public var value: UInt64

        public init(name: String, help: String, value: UInt64) {
            self.name = name
            self.help = help
            self.value = value
        }
    }

    public init(
        name: String, id: NodeID?, clusterName: String, mapEpoch: UInt64, backend: String, isReady: Bool,
        reasons: [String], replicas: Int, leading: Int, leaderless: Int, connectedPeers: Int, peers: Int,
        keys: UInt64, bytesOnDisk: UInt64, bytesFree: UInt64, overlayBytes: Int, journalDurable: UInt64,
        counters: [Counter], backendFigures: [Counter], gauges: [Counter] = []
    ) {
        self.name = name
        self.id = id
        self.clusterName = clusterName
        self.mapEpoch = mapEpoch
        self.backend = backend
        self.isReady = isReady
        self.reasons = reasons
        self.replicas = replicas
        self.leading = leading
        self.leaderless = leaderless
        self.connectedPeers = connectedPeers
        self.peers = peers
        self.keys = keys
        self.bytesOnDisk = bytesOnDisk
        self.bytesFree = bytesFree
        self.overlayBytes = overlayBytes
        self.journalDurable = journalDurable
        self.counters = counters
        self.backendFigures = backendFigures
        self.gauges = gauges
    }
}
