public import KVProtocols

/// Where a leader's walk through the keys has come to; for people, never for a decision.
public struct WalkPosition: Hashable, Sendable {
    /// The buckets in which members differ: only their keys are compared.
    public var buckets: UInt64
    /// Every key up to and including this one is behind the walk; `nil` at its beginning.
    public var after: Key?
    /// Everything was compared; what differs may still be on its way.
    public var isOver: Bool

    public init(buckets: UInt64, after: Key?, isOver: Bool) {
        self.buckets = buckets
        self.after = after
        self.isOver = isOver
    }
}

extension PartitionMachine {
    /// The walk that goes on: the one by which the leader comes to know every key, or the one that brings a member up
    /// to date. `nil` when there is none. O(1).
    public var walk: WalkPosition? {
        if let sync = leadership?.sync {
            return WalkPosition(buckets: sync.walking, after: sync.after, isOver: sync.isWalked)
        }
        return leadership?.repair.map { repair in
            WalkPosition(buckets: repair.walking, after: repair.after, isOver: repair.isWalked)
        }
    }
}
