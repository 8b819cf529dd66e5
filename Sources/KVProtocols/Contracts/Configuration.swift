/// Who holds one partition, and since when. Published by the controller, made durable by every member before it
/// answers under it, replaced only by one with a higher epoch.
public struct Configuration: Hashable, Sendable, Codable {
    /// Grows by one with each change of this partition. 0 is the configuration of a node that knows none.
    public var epoch: UInt64
    /// In order of preference: the first is the preferred leader.
    public var members: [NodeID]
    /// While a move is under way, the members before it: every quorum then needs both sets.
    public var previous: [NodeID]?
    /// For each node of `members` and `previous`, in ascending order of node: the epoch at which it joined. A node
    /// whose join epoch is newer than the configuration it knew wipes the partition first.
    public var joined: [Joined]

    public struct Joined: Hashable, Sendable, Codable {
        public var node: NodeID
        public var epoch: UInt64

        public init(node: NodeID, epoch: UInt64) {
            self.node = node
            self.epoch = epoch
        }
    }

    public static let none = Configuration(epoch: 0, members: [], previous: nil, joined: [])

    public init(epoch: UInt64, members: [NodeID], previous: [NodeID]?, joined: [Joined]) {
        self.epoch = epoch
        self.members = members
        self.previous = previous
        self.joined = joined.sorted { $0.node < $1.node }
    }

    /// The first configuration of a partition.
    public init(initial members: [NodeID]) {
        self.init(epoch: 1, members: members, previous: nil, joined: members.map { Joined(node: $0, epoch: 1) })
    }

    public var isJoint: Bool { previous != nil }

    /// Every node of both sets once, members first, in order.
    public var everyone: [NodeID] {
        guard let previous else { return members }
        return members + previous.filter { !members.contains($0) }
    }

    public func contains(_ node: NodeID) -> Bool {
        members.contains(node) || previous?.contains(node) == true
    }

    public func joinEpoch(of node: NodeID) -> UInt64? {
        joined.first { $0.node == node }?.epoch
    }

    /// Whether `have` reaches the quorum `size(set size)` in every member set in force.
    public func isQuorum(_ have: some Sequence<NodeID>, size: (Int) -> Int) -> Bool {
        func reaches(_ set: [NodeID]) -> Bool {
            var count = 0
            for node in have where set.contains(node) { count += 1 }
            return count >= size(set.count)
        }
        return reaches(members) && (previous.map(reaches) ?? true)
    }
}

extension Configuration {
    /// The configuration that starts a move to `target`, or changes its mind in the middle of one; `nil` when there is
    /// nothing to change. In the middle of a move only the new set may change, the previous set stays.
    public func moving(to target: [NodeID]) -> Configuration? {
        let next = epoch + 1
        func joinedEpochs(_ nodes: [NodeID]) -> [Joined] {
            nodes.map { Joined(node: $0, epoch: joinEpoch(of: $0) ?? next) }
        }
        let base = previous ?? members
        if Set(target) == Set(base) {
            guard isJoint || target != members else { return nil }
            return Configuration(epoch: next, members: target, previous: nil, joined: joinedEpochs(target))
        }
        guard target != members else { return nil }
        let everyone = target + base.filter { !target.contains($0) }
        return Configuration(epoch: next, members: target, previous: base, joined: joinedEpochs(everyone))
    }

    /// The configuration that ends a move whose leader reported the new members synced.
    public func finishingMove() -> Configuration {
        Configuration(
            epoch: epoch + 1, members: members, previous: nil, joined: joined.filter { members.contains($0.node) })
    }
}
