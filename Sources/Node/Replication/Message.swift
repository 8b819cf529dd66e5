public import KVProtocols

/// What every message carries: the configuration, ballot and purge epoch of its sender (rules of DESIGN section 4).
/// A member answers a leader only when its own configuration is the same, its promise is not higher and its purge
/// epoch is not higher; an answer repeats the header of the question.
public struct Header: Hashable, Sendable {
    public var epoch: UInt64
    public var ballot: Ballot
    public var purgeEpoch: UInt64

    public init(epoch: UInt64, ballot: Ballot, purgeEpoch: UInt64) {
        self.epoch = epoch
        self.ballot = ballot
        self.purgeEpoch = purgeEpoch
    }
}

/// What machines of one partition say to each other. Any message may be lost, repeated, delayed or reordered.
public enum Message: Hashable, Sendable {
    // From one that would lead.
    /// Would you promise? Changes nothing; asked before a ballot is raised, so that a node that only hears badly
    /// doesn't disturb a working leader. `polite`: the leader itself agreed to hand over.
    case canvass(Configuration, polite: Bool)
    case supported
    /// Promise to answer no lower ballot.
    case prepare(Configuration, polite: Bool)
    /// The promise is durable; the digest is of what the member holds at this moment.
    case promised(PartitionDigest)

    // From a leader to members, and their answers.
    /// Store this new record.
    case accept(Key, Record)
    /// The record with this sequence number of the header's ballot is durable.
    case accepted(sequence: UInt64)
    /// Store this chosen record, version kept.
    case copy(Key, Record)
    case copied(Key, Version)
    /// Do you still accept my ballot? Also the sign of life of a leader.
    case confirm(round: UInt64)
    case confirmed(round: UInt64)
    /// What do you hold of this key?
    case query(round: UInt64, Key)
    case known(round: UInt64, Key, Record?)
    /// What is your digest now?
    case digest(round: UInt64)
    case digested(round: UInt64, PartitionDigest)
    /// Which versions do you hold in these buckets (bit i is bucket i) after this key?
    case walk(round: UInt64, buckets: UInt64, after: Key?)
    case walked(round: UInt64, WalkPage)
    /// What do you hold of the keys that you changed last in these buckets, and of `keys`? `asPromised`: what did you
    /// hold when you promised the header's ballot?
    case recall(round: UInt64, buckets: UInt64, asPromised: Bool, keys: [Key])
    /// `nil`: it can't be told any more.
    case recalled(round: UInt64, Recollection?)
    /// When you hold exactly this tombstone, say so.
    case buried(Key, Version)
    case burial(Key, Version, holds: Bool)
    /// All members hold exactly this tombstone: forget it.
    case purge(Key, Version)

    // Courtesies.
    /// From the preferred leader, in sync: hand over to me when it suits you.
    case wishToLead
    /// From a leader that stopped proposing: canvass politely, now.
    case handOver
    /// From a leader that stepped down.
    case resigned
    /// Here is a newer configuration than yours.
    case install(Configuration)
    /// You are not answered: this is what I know.
    case rejected(Rejection)
}

extension Message {
    /// The key that it is about; `nil` when it is about none, or about several.
    public var key: Key? {
        switch self {
        case .accept(let key, _), .copy(let key, _), .copied(let key, _), .query(_, let key), .known(_, let key, _),
            .buried(let key, _), .burial(let key, _, _), .purge(let key, _):
            key
        default: nil
        }
    }
}

/// Why a message was not answered, and what the one who did not answer knows.
public struct Rejection: Hashable, Sendable {
    public enum Reason: UInt8, Hashable, Sendable {
        /// A higher ballot was promised.
        case ballot
        /// The sender's configuration is not this member's.
        case configuration
        /// The sender's purge epoch is too low.
        case purgeEpoch
        /// A live leader is known.
        case leaderAlive
        /// The member can't store at the moment.
        case storage
    }

    public var reason: Reason
    public var promised: Ballot
    public var epoch: UInt64
    public var purgeEpoch: UInt64

    public init(reason: Reason, promised: Ballot, epoch: UInt64, purgeEpoch: UInt64) {
        self.reason = reason
        self.promised = promised
        self.epoch = epoch
        self.purgeEpoch = purgeEpoch
    }
}

/// One page of a walk, in ascending order of key. `next` is where to go on; `nil` when the walk is over.
public struct WalkPage: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var key: Key
        public var version: Version

        public init(key: Key, version: Version) {
            self.key = key
            self.version = version
        }
    }

    public var entries: [Entry]
    /// The page covers every key up to and including this one.
    public var next: Key?

    public init(entries: [Entry], next: Key?) {
        self.entries = entries
        self.next = next
    }
}

/// A message on its way.
public struct Outgoing: Hashable, Sendable {
    public var to: NodeID
    public var header: Header
    public var message: Message

    public init(to: NodeID, header: Header, message: Message) {
        self.to = to
        self.header = header
        self.message = message
    }
}
