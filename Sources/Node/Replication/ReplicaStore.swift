public import KVProtocols

/// One partition's durable state as its machine sees it. Changes are visible at once and durable later: what a machine
/// says on the strength of them goes into `Output.afterPersist`, which leaves only when all that was staged before it
/// is on the disk.
public protocol ReplicaStore {
    /// As it was last saved.
    var state: PartitionState { get }
    /// Whether what was last saved has reached the disk: a promise counts only then.
    var isStateDurable: Bool { get }
    /// Of everything put and not purged.
    var digest: PartitionDigest { get }
    /// The key of the digest's hash: the same on every member.
    var digestSeed: UInt64 { get }

    func version(of key: Key) -> Found<Version>
    func record(of key: Key) -> Found<Record>

    /// `replacing` is what is held, as far as it is known: `.absent` and `.found` are taken for true and cost no look-up,
    /// anything else makes the store find out what its digest must lose.
    mutating func put(_ key: Key, _ record: Record, replacing: Found<Version>)
    mutating func purge(_ key: Key, replacing: Version)
    mutating func save(_ state: PartitionState)
    /// Forgets every record; the state stays as saved.
    mutating func wipe()

    /// At most `limit` of the keys that changed last before a restart, each once, with the version that is held; the
    /// latest last. As far as that is easy to tell: what is missing costs a walk.
    func lastChanges(limit: Int) -> [Recollection.Entry]

    /// The versions in these buckets after `after`, in ascending order of key. Looks at a bounded number of keys per
    /// call: a page may be empty and have a `next`. `nil` when the store can't be read.
    func walk(buckets: UInt64, after: Key?) -> WalkPage?

    /// The tombstones after `after`, in ascending order of key, in pages as a walk's but of fewer keys. `nil` when the
    /// store can't be read, or a page would cost more than the keys that it looks at.
    func tombstones(after: Key?) -> WalkPage?
}

/// The answer of a store.
public enum Found<Value: Sendable>: Sendable {
    case absent
    case found(Value)
    /// Something is stored but fails verification: it counts neither as present nor as absent, and is replaced.
    case damaged
    /// It can't be told at the moment what is stored, nor whether anything is: counts for nothing and stays.
    case unreadable

    /// Whether the store can say what it holds.
    var isTold: Bool {
        switch self {
        case .absent, .found: true
        case .damaged, .unreadable: false
        }
    }

    public var value: Value? {
        if case .found(let value) = self { value } else { nil }
    }
}
