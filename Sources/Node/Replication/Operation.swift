public import KVProtocols

/// What a client asks of one key, or of a partition as a whole.
public enum Operation: Hashable, Sendable {
    case get(Key)
    /// `expiresAt` in milliseconds since 1970; 0 means never.
    case put(Key, value: [UInt8], expiresAt: UInt64, Condition)
    case delete(Key, Condition)
    /// Adds to a decimal number in the value; an absent key counts as 0. Keeps the expiry.
    case increment(Key, by: Int64)
    /// Answered with `.passed` once this leader was confirmed after the operation arrived, and all that was proposed
    /// before it is chosen: what its store showed at that moment was the newest there is. Refused with `.electing`
    /// while not every key is known.
    case barrier

    /// Whether it may change something: then a lost answer makes its outcome unknown.
    public var isWrite: Bool {
        switch self {
        case .get, .barrier: false
        case .put, .delete, .increment: true
        }
    }

    /// Whether it is there to need less space, and is let through when little is left.
    public var freesSpace: Bool {
        if case .delete = self { true } else { false }
    }

    /// `nil` for a barrier.
    public var key: Key? {
        switch self {
        case .get(let key), .put(let key, _, _, _), .delete(let key, _), .increment(let key, _): key
        case .barrier: nil
        }
    }
}

/// What must hold for a write to happen, judged against the key's newest proposed record.
public enum Condition: Hashable, Sendable {
    case none
    /// The key has a value (`If-Match: *`).
    case present
    /// The key has no value (`If-None-Match: *`).
    case absent
    /// The key has a value of one of these versions (`If-Match: "…"`).
    case version([Version])
}

/// How an operation ended. Of the writes, only `.written` and `.absent` promise that it is durable on a write quorum.
public enum Outcome: Hashable, Sendable {
    /// A get's answer.
    case value(Record)
    /// A get found nothing; or a conditional delete had nothing to delete.
    case absent
    case passed
    /// Durable on `acks` members of `required`; the value is that of an increment.
    case written(Version, acks: Int, required: Int, value: Int64?)
    /// Nothing was written: the condition does not hold for the current version (`nil`: the key has no value).
    case conditionFailed(current: Version?)
    /// Nothing was written: the value is not a decimal number, or the sum does not fit 64 bits.
    case notANumber(current: Version)
    /// Nothing was or will be written; may be tried again elsewhere or later.
    case refused(Refusal)
    /// The write may take effect now, later or never. Never tried again by the system.
    case unknown(acked: Int, required: Int)
}

/// Why an operation was refused before anything was proposed.
public enum Refusal: Hashable, Sendable {
    /// This member does not lead; `leader` is who it believes does.
    case notLeader(leader: NodeID?)
    /// An election or a change of configuration is under way here; soon over.
    case electing
    /// Fewer than `required` members can be reached.
    case noQuorum(reachable: Int, required: Int)
    /// The member can't write, or holds its limit of waiting work.
    case overloaded
    /// The time given for the operation passed before it could be proposed.
    case timeout
    /// The disk of the leader is full; deletes and repairs may still work.
    case full
    /// The leader's own storage failed.
    case failed
}
