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
    /// Moves under way, by what they are for.
    var work: [Work] = []
    /// Lost nodes whose alarm a person has acknowledged.
    var acknowledged: [NodeID] = []

    /// The record of a name, of a removed node too.
    func record(_ name: String) -> NodeRecord? { nodes.first { $0.name == name } }

    /// The members of the cluster.
    var members: [NodeRecord] { nodes.filter { !$0.isRemoved } }
}

extension ControllerState {
    /// Makes the emptying of a node the repair of its loss, unless that has begun already.
    mutating func lose(_ node: NodeID) {
        guard let drain = work.firstIndex(where: { $0.kind == .drain && $0.node == node }) else { return }
        if work.contains(where: { $0.kind == .repair && $0.node == node }) {
            work.remove(at: drain)
        } else {
            work[drain].kind = .repair
        }
    }

    /// Members that a folder of an earlier version lacks have their defaults.
    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        format = try container.decode(Int.self, forKey: .format)
        cluster = try container.decode(UInt64.self, forKey: .cluster)
        name = try container.decode(String.self, forKey: .name)
        nextNode = try container.decode(UInt32.self, forKey: .nextNode)
        nodes = try container.decode([NodeRecord].self, forKey: .nodes)
        former = try container.decode([FormerNode].self, forKey: .former)
        work = try container.decodeIfPresent([Work].self, forKey: .work) ?? []
        acknowledged = try container.decodeIfPresent([NodeID].self, forKey: .acknowledged) ?? []
    }
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

    /// Its share of replicas compared with other nodes; `nil`: the standard.
    var weight: Int?

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
        weight = heartbeat.weight
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
