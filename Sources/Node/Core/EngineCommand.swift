import KVProtocols
import KVReplication
import KVStorage
import KVTransport

/// What the rest of the node wants of the engine.
enum EngineCommand: Sendable {
    /// A client's operation; `completion` is called once, on the engine's thread, and must not block.
    case operation(PartitionID, Operation, deadline: UInt64, completion: @Sendable (Answer) -> Void)
    /// A question to another node (or to this one); answered with `nil` when there is no answer in time.
    case ask(NodeID, PeerRequest, deadline: UInt64, completion: @Sendable (PeerReply?) -> Void)
    case read(PartitionID, Key, completion: @Sendable (Result<Record?, StorageError>) -> Void)
    case listLocally(ListRequest, completion: @Sendable (ListReply) -> Void)
    case peer(PeerEvent)
    case storage(StorageEvent)
    case map(ClusterMap)
    case identity(NodeIdentity, completion: @Sendable (NodeIdentity) -> Void)
    /// Called once all that was staged before is on the disk; with `false` when it never will be.
    case whenDurable(completion: @Sendable (Bool) -> Void)
    /// The node is told to stop: what waits to become durable is given up, now and from now on.
    case stopWaiting
    /// This node was asked for partitions that it does not lead, or gave no answer.
    case distrust(NodeID, [PartitionID])
    case report(completion: @Sendable (EngineReport) -> Void)
    /// The controller turned this node away, or takes it again (`nil`).
    case refusal(String?)
    case stop(completion: @Sendable (StorageError?) -> Void)
}

/// A picture of the engine for heartbeats, health and metrics.
struct EngineReport: Sendable {
    var identity: NodeIdentity?
    var map: ClusterMap?
    var durable: UInt64
    var failure: StorageError?
    var degradation: StorageError?
    var refusal: String?
    var statistics: StorageStatistics?
    var overlayBytes: Int
    /// Damaged records that wait for a whole one, and those that were replaced.
    var damaged: Int
    var replacedDamaged: UInt64
    var lastScrub: ScrubPass?
    var replicas: Int
    var leaderless: Int
    var leading: [Heartbeat.Leading]
    /// The leader of each partition as believed here.
    var leaders: [NodeID?]
    var connected: [NodeID]
    var operations: Int
    var counters: EngineCounters
}

/// Counts since the start of the process.
struct EngineCounters: Sendable {
    var reads: UInt64 = 0
    var writes: UInt64 = 0
    var forwarded: UInt64 = 0
    var refused: UInt64 = 0
    var unknown: UInt64 = 0
    var machineMessages: UInt64 = 0
    var droppedWhileFull: UInt64 = 0
    var misplacedMessages: UInt64 = 0
    /// Records that the scrub or a listing found damaged where nothing newer was known.
    var scrubDamaged: UInt64 = 0
    /// Partitions that the scrub found to lack records, or to have ones that were forgotten.
    var scrubInconsistent: UInt64 = 0
    var turns: UInt64 = 0
    var commits: UInt64 = 0
}
