import KVProtocols

/// The members of one configuration, numbered, and the quorums over them as bit sets: bit i is `nodes[i]`.
struct Electorate: Hashable, Sendable {
    typealias Set = UInt32

    let nodes: [NodeID]
    private let members: Set
    private let previous: Set
    private let policy: ReplicationPolicy

    /// A configuration has at most 9 + 9 nodes, so a word is enough.
    init(_ configuration: Configuration, policy: ReplicationPolicy) {
        nodes = Array(configuration.everyone.prefix(32))
        self.policy = policy
        func bits(_ set: [NodeID], _ nodes: [NodeID]) -> Set {
            var result: Set = 0
            for (index, node) in nodes.enumerated() where set.contains(node) { result |= 1 << Set(index) }
            return result
        }
        members = bits(configuration.members, nodes)
        previous = bits(configuration.previous ?? [], nodes)
    }

    var everyone: Set { members | previous }

    func index(of node: NodeID) -> Int? { nodes.firstIndex(of: node) }

    /// The bit of a node; empty for a stranger.
    func bit(of node: NodeID) -> Set {
        guard let index = index(of: node) else { return 0 }
        return 1 << Set(index)
    }

    func isWriteQuorum(_ set: Set) -> Bool {
        reaches(set, members, policy.writeQuorum) && (previous == 0 || reaches(set, previous, policy.writeQuorum))
    }

    func isReadQuorum(_ set: Set) -> Bool {
        reaches(set, members, policy.readQuorum) && (previous == 0 || reaches(set, previous, policy.readQuorum))
    }

    /// Whether every write quorum has a node in the set: enough to find what is chosen, whatever the policy's R.
    func meetsEveryWrite(_ set: Set) -> Bool {
        let size = { [policy] (count: Int) in count - policy.writeQuorum(of: count) + 1 }
        return reaches(set, members, size) && (previous == 0 || reaches(set, previous, size))
    }

    /// More than half of each set: for courtesy, not for safety.
    func isMajority(_ set: Set) -> Bool {
        reaches(set, members) { $0 / 2 + 1 } && (previous == 0 || reaches(set, previous) { $0 / 2 + 1 })
    }

    /// Whether, in the middle of a move, the previous members alone made this chosen.
    func isWriteQuorumOfPrevious(_ set: Set) -> Bool {
        previous != 0 && reaches(set, previous, policy.writeQuorum)
    }

    var writeQuorum: Int { policy.writeQuorum(of: members.nonzeroBitCount) }
    var readQuorum: Int { policy.readQuorum(of: members.nonzeroBitCount) }

    /// How many of the current members are in the set.
    func count(_ set: Set) -> Int { (set & members).nonzeroBitCount }

    private func reaches(_ have: Set, _ set: Set, _ size: (Int) -> Int) -> Bool {
        (have & set).nonzeroBitCount >= size(set.nonzeroBitCount)
    }
}
