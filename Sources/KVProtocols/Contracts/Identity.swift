/// A member of the cluster, numbered by the controller. A number is given once: a node whose data folder was emptied,
/// swapped or rolled back gets a new one, so that nothing it promised before can be counted as a vote.
public struct NodeID: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    public init(from decoder: any Decoder) throws { rawValue = try UInt32(from: decoder) }
    public func encode(to encoder: any Encoder) throws { try rawValue.encode(to: encoder) }

    public static func < (left: NodeID, right: NodeID) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }
}

/// One of the P equal ranges of slots.
public struct PartitionID: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public init(_ rawValue: UInt16) { self.rawValue = rawValue }

    public init(from decoder: any Decoder) throws { rawValue = try UInt16(from: decoder) }
    public func encode(to encoder: any Encoder) throws { try rawValue.encode(to: encoder) }

    public static func < (left: PartitionID, right: PartitionID) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }
}

/// Who a node is, as stored with its data and told to the controller and to every peer.
public struct NodeIdentity: Hashable, Sendable, Codable {
    /// Drawn by the controller when the cluster is created.
    public var cluster: UInt64
    /// Given by the controller at the node's first heartbeat.
    public var node: NodeID
    /// The name in the configuration file.
    public var name: String
    /// Drawn when the data folder was created: tells two folders of one name apart.
    public var incarnation: UInt64
    /// How often a process opened this folder; only grows. A lower one than known shows a folder that was rolled back.
    public var boot: UInt64

    public init(cluster: UInt64, node: NodeID, name: String, incarnation: UInt64, boot: UInt64) {
        self.cluster = cluster
        self.node = node
        self.name = name
        self.incarnation = incarnation
        self.boot = boot
    }
}
