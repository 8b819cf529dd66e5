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
    /// Its share of replicas and of preferred leaders, compared with the other nodes: a node of weight 200 gets twice
    /// what one of weight 100 gets. At least 1.
    public var weight: Int

    /// The weight of a node of which nothing else is known.
    public static let standardWeight = 100
    /// More would gain nothing, and products of weights and counts stay far below an overflow.
    public static let maximumWeight = 10_000

    public init(
        id: NodeID, zone: String = "", keeps: Bool = true, accepts: Bool = true, isLive: Bool = true,
        weight: Int = PlacementNode.standardWeight
    ) {
        self.id = id
        self.zone = zone
        self.keeps = keeps
        self.accepts = accepts
        self.isLive = isLive
        self.weight = min(max(1, weight), PlacementNode.maximumWeight)
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

    /// Whether `left` replicas on one node are less for it than `right` on another, measured by their weights.
    func isLess(_ left: Int, of one: Int, than right: Int, of other: Int) -> Bool {
        left * nodes[other].weight < right * nodes[one].weight
    }

    /// Positions by what a count of each means for its node, the least first; equal ones in order of position.
    func ascending(_ positions: [Int], by count: (Int) -> Int) -> [Int] {
        positions.sorted { left, right in
            let (lefts, rights) = (count(left) * nodes[right].weight, count(right) * nodes[left].weight)
            return lefts != rights ? lefts < rights : left < right
        }
    }

    /// Whether handing one of its replicas from one node to another brings both nearer to their shares. With equal
    /// weights: when the giver has at least two more. Repeating it ends, in the shares of Webster's method.
    func evensOut(_ load: [Int], from old: Int, to new: Int) -> Bool {
        isLess(2 * load[new] + 1, of: new, than: 2 * load[old] - 1, of: old)
    }

    /// How many different zones the nodes lie in.
    func spread(_ members: [NodeID]) -> Int {
        Set(members.compactMap { position(of: $0).map { zone[$0] } }).count
    }
}
