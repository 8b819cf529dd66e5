public import KVProtocols

/// What placement must know about a node.
public struct PlacementNode: Hashable, Sendable {
    public var id: NodeID
    /// Empty: a zone of its own.
    public var zone: String
    /// It may keep the replicas that it has.
    public var keeps: Bool
    /// It may be given more.
    public var accepts: Bool
    /// It counts towards quorums.
    public var isLive: Bool

    public init(id: NodeID, zone: String = "", keeps: Bool = true, accepts: Bool = true, isLive: Bool = true) {
        self.id = id
        self.zone = zone
        self.keeps = keeps
        self.accepts = accepts
        self.isLive = isLive
    }
}

/// Nodes by number and their zones as numbers, so that the loops of `Assignment` compare integers. Nodes keep the order
/// in which they were given.
struct Roster {
    let nodes: [PlacementNode]
    let zone: [Int]
    let zones: Int
    private let index: [NodeID: Int]

    init(_ nodes: [PlacementNode]) {
        self.nodes = nodes
        var index: [NodeID: Int] = [:]
        var named: [String: Int] = [:]
        var zone: [Int] = []
        var zones = 0
        for (position, node) in nodes.enumerated() {
            index[node.id] = position
            if !node.zone.isEmpty, let known = named[node.zone] {
                zone.append(known)
            } else {
                if !node.zone.isEmpty { named[node.zone] = zones }
                zone.append(zones)
                zones += 1
            }
        }
        self.index = index
        self.zone = zone
        self.zones = zones
    }

    /// `nil` for a node that is not on the list: it no longer exists.
    func position(of node: NodeID) -> Int? { index[node] }

    func keeps(_ node: NodeID) -> Bool { position(of: node).map { nodes[$0].keeps } ?? false }

    func isLive(_ node: NodeID) -> Bool { position(of: node).map { nodes[$0].isLive } ?? false }

    /// How many different zones the nodes lie in.
    func spread(_ members: [NodeID]) -> Int {
        Set(members.compactMap { position(of: $0).map { zone[$0] } }).count
    }
}
