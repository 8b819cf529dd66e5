public import KVProtocols
public import KVReplication

/// What travels between two nodes. Frames hold many of these.
public enum PeerMessage: Sendable {
    /// From a partition's machine to the same partition's machine.
    case machine(PartitionID, Header, Message)
    /// A question of one node's shell to another's; answered once with the same id, or never.
    case request(id: UInt64, PeerRequest)
    case reply(id: UInt64, PeerReply)
}

/// What a node asks of another on behalf of a client.
public enum PeerRequest: Hashable, Sendable {
    /// Run this where the partition is led; refused when that is not here. The time is what is left of the client's.
    case operation(PartitionID, Operation, timeoutMilliseconds: UInt32)
    /// The keys of these partitions, which the asked node leads: at most `limit`, ascending over all of them.
    case list([PartitionID], prefix: [UInt8], after: Key?, limit: UInt32, values: Bool)
    /// What do you yourself hold of this key?
    case replica(PartitionID, Key)
}

public enum PeerReply: Hashable, Sendable {
    case outcome(Outcome)
    /// `unable` are the partitions asked for that this node does not lead, or of which it can't tell all keys at the moment:
    /// a record is damaged, or writes are held up. Keys may follow behind `reach`, up to which everything was looked at;
    /// `nil` when none does. It may lie behind the last entry, and there may be no entry.
    case list([KeyRecord], reach: Key?, unable: [PartitionID])
    case replica(ReplicaAnswer)
}

public struct KeyRecord: Hashable, Sendable {
    public var key: Key
    public var record: Record

    public init(key: Key, record: Record) {
        self.key = key
        self.record = record
    }
}

public enum ReplicaAnswer: Hashable, Sendable {
    case holds(Record, isLeader: Bool)
    case missing(isLeader: Bool)
    case damaged(isLeader: Bool)
}

/// What happens on the links, in order per peer. Delivered on a thread of the transport, which must not be blocked.
public enum PeerEvent: Sendable {
    /// Messages can be sent to this peer.
    case connected(NodeID)
    /// The connection to or from this peer closed or fell silent. What was sent and not answered may be lost.
    case disconnected(NodeID)
    case received(from: NodeID, [PeerMessage])
    /// A peer was turned away, with the reason: for the log and the node's status.
    case turnedAway(String)
}

/// The way to other nodes as the engine sees it; a simulator puts its own in place of sockets.
public protocol PeerLinks: Sendable {
    /// Hands messages over, in order, without waiting. They are dropped when there is no connection or its queue is full: every
    /// sender repeats what is not answered.
    func send(_ messages: [PeerMessage], to node: NodeID)
}
