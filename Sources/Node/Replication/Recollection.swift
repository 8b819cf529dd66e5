public import KVProtocols

/// What one member held of some keys, and its digest, at one and the same moment.
///
/// The digest is a sum over everything held, so with these keys subtracted it is the sum over all others: members whose
/// differences are equal in a bucket hold the same there, but for the keys listed (and a chance of about 2^-64).
public struct Recollection: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var key: Key
        /// `nil`: it held nothing. `.zero`: what it holds can't be read.
        public var version: Version?

        public init(key: Key, version: Version?) {
            self.key = key
            self.version = version
        }

        /// About what it takes in a message, in bytes.
        var cost: Int { key.bytes.count + 23 }
    }

    /// A list in a message is no longer than this, give or take one key.
    static let maximumBytes = 128 << 10
    /// Nobody is asked for more keys at once: those that two changed last, each as many as are remembered at most.
    static let maximumKeys = 4_096

    public var digest: PartitionDigest
    public var entries: [Entry]

    public init(digest: PartitionDigest, entries: [Entry]) {
        self.digest = digest
        self.entries = entries
    }
}

extension PartitionMachine {
    /// What this node holds, or held when it made its mark under this ballot: of the last changes in these buckets, and
    /// of these keys. `nil` when it can't be told. O(recent changes), and a look-up per key that is not among them.
    func recollect<Store: ReplicaStore>(
        buckets: UInt64, keys: [Key], asOf ballot: Ballot?, store: Store
    ) -> Recollection? {
        guard keys.count <= Recollection.maximumKeys else { return nil }
        var digest = store.digest
        var changed: [Key: Version?] = [:]
        if let ballot {
            guard let mark = recent.mark, mark.ballot == ballot else { return nil }
            digest = mark.digest
            if !keys.isEmpty { changed = recent.heldAtMark() }
        }
        var entries = recent.list(buckets: buckets, atMark: ballot != nil)
        var listed = Set(entries.map(\.key))
        for key in keys where listed.insert(key).inserted {
            let version = changed[key] ?? store.version(of: key).known
            entries.append(Recollection.Entry(key: key, version: version))
        }
        return Recollection(digest: digest, entries: entries)
    }
}

extension Found<Version> {
    /// As walks and recollections say it: nothing, or `.zero` for what can't be read.
    var known: Version? {
        switch self {
        case .absent: nil
        case .found(let version): version
        case .damaged, .unreadable: .zero
        }
    }
}
