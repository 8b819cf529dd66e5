import KVProtocols

/// What the controller must not forget, besides the map and the events.
struct ControllerState: Hashable, Sendable, Codable {
    static let format = 1

    var format = ControllerState.format
    var cluster: UInt64
    var name: String
    /// The number that the next new member gets. Only grows, and is stored before a number is given.
    var nextNode: UInt32 = 1
    /// In order of first contact.
    var nodes: [NodeRecord] = []
    /// Members that no longer exist and still appear in configurations, for their names.
    var former: [FormerNode] = []

    /// The record of a name, of a removed node too.
    func record(_ name: String) -> NodeRecord? { nodes.first { $0.name == name } }

    /// The members of the cluster.
    var members: [NodeRecord] { nodes.filter { !$0.isRemoved } }
}

/// A node as the controller last knew it.
struct NodeRecord: Hashable, Sendable, Codable {
    var name: String
    var id: NodeID
    var incarnation: UInt64
    /// The highest boot counter and durable position seen; stored within seconds.
    var boot: UInt64
    var durable: UInt64
    var address: String
    var peerAddress: String
    var zone: String
    var isDraining = false
    /// It was announced that draining is done.
    var isDrained = false
    /// A person wants it gone once it holds nothing.
    var isRemoving = false
    var isRemoved = false
    /// Incarnations of folders that were this node once and must not come back as it.
    var retired: [UInt64] = []

    static let maximumRetired = 64

    init(_ heartbeat: Heartbeat, id: NodeID) {
        name = heartbeat.name
        self.id = id
        incarnation = heartbeat.incarnation
        boot = heartbeat.boot
        durable = heartbeat.durable
        address = heartbeat.address
        peerAddress = heartbeat.peerAddress
        zone = heartbeat.zone
    }

    var info: NodeInfo {
        NodeInfo(
            id: id, name: name, address: address, peerAddress: peerAddress, incarnation: incarnation, boot: boot,
            zone: zone, isDraining: isDraining)
    }
}

struct FormerNode: Hashable, Sendable, Codable {
    var id: NodeID
    var name: String
}
