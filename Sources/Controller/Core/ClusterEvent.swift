/// Something that happened to the cluster and that a person may want to know.
public struct ClusterEvent: Hashable, Sendable, Codable {
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        case controllerStarted = "controller_started"
        case clusterCreated = "cluster_created"
        case nodeJoined = "node_joined"
        /// A node's process was started again before it counted as failed.
        case nodeUp = "node_up"
        case failureDetected = "failure_detected"
        /// A node that counted as failed is heard of again.
        case nodeReturned = "node_returned"
        /// A node's data folder was emptied, swapped or rolled back: it is a new member under the old name.
        case nodeReplaced = "node_replaced"
        case rereplicationStarted = "rereplication_started"
        case rereplicationFinished = "rereplication_finished"
        case rebalanceStarted = "rebalance_started"
        case rebalanceFinished = "rebalance_finished"
        /// How far a re-replication, a drain or a rebalancing that takes long has come.
        case moveProgress = "move_progress"
        case nodeDraining = "node_draining"
        case nodeUndrained = "node_undrained"
        case nodeDrained = "node_drained"
        case nodeRemoved = "node_removed"
        case alarmRaised = "alarm_raised"
        case alarmCleared = "alarm_cleared"
    }

    public enum Severity: String, Hashable, Sendable, Codable {
        case info, warning, error
    }

    /// Grows; with gaps after a restart of the controller.
    public var id: UInt64
    /// ISO 8601 in UTC with milliseconds, from the controller's wall clock.
    public var time: String
    public var kind: Kind
    public var severity: Severity
    /// A sentence.
    public var message: String
    /// The node that it is about, by name; absent when about none.
    public var node: String?
    /// The partition that it is about; absent when about none.
    public var partition: Int?
    /// How many partitions it is about.
    public var partitions: Int?
    /// How long what ended took, in milliseconds; for progress: so far.
    public var durationMilliseconds: Int?
    /// Keys compared and copied: as leaders reported them, or, for moves between two heartbeats, estimated.
    public var keys: UInt64?
    /// What those keys take up on the leaders' disks, estimated.
    public var bytes: UInt64?

    public init(
        id: UInt64, time: String, kind: Kind, severity: Severity, message: String, node: String? = nil,
        partition: Int? = nil, figures: Figures = Figures()
    ) {
        self.id = id
        self.time = time
        self.kind = kind
        self.severity = severity
        self.message = message
        self.node = node
        self.partition = partition
        partitions = figures.partitions
        durationMilliseconds = figures.durationMilliseconds
        keys = figures.keys
        bytes = figures.bytes
    }

    /// The numbers of an event; those that don't apply are `nil`.
    public struct Figures: Hashable, Sendable {
        public var partitions: Int?
        public var durationMilliseconds: Int?
        public var keys: UInt64?
        public var bytes: UInt64?

        public init(
            partitions: Int? = nil, durationMilliseconds: Int? = nil, keys: UInt64? = nil, bytes: UInt64? = nil
        ) {
            self.partitions = partitions
            self.durationMilliseconds = durationMilliseconds
            self.keys = keys
            self.bytes = bytes
        }
    }

    private enum CodingKeys: String, CodingKey {
        case id, time, kind, severity, message, node, partition, partitions, keys, bytes
        case durationMilliseconds = "duration_ms"
    }
}

extension ClusterEvent.Kind {
    /// The kind in words, for the log.
    var title: String {
        switch self {
        case .rereplicationStarted: "re-replication started"
        case .rereplicationFinished: "re-replication finished"
        default: rawValue.split(separator: "_").joined(separator: " ")
        }
    }
}
