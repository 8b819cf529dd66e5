import KVProtocols

/// What a leader keeps, in memory only: all of it can be found again by the next one.
struct Leadership: Sendable {
    /// A record proposed under this ballot, until every member has it.
    struct Flight: Sendable {
        let key: Key
        /// Let go of once chosen: from then on the store has it.
        var record: Record?
        var acks: Electorate.Set
        /// The client's operation that waits for it.
        var operation: UInt64?
        let value: Int64?
        var isChosen = false
        var sentAt: UInt64
    }

    /// An operation that waits for its key to be known or quiet, or for a confirmation.
    struct Waiting: Sendable {
        let id: UInt64
        let operation: Operation
        let wall: UInt64
        /// Leadership must be confirmed by this round or a later one, sent after the operation arrived.
        var round: UInt64?
        /// A barrier waits for all proposals up to this one.
        var upTo: UInt64 = 0
    }

    /// Something that ends this leadership as soon as nothing is in flight.
    struct Closing: Sendable {
        enum Reason: Sendable {
            case configuration(Configuration)
            case ballot
            case handOver(NodeID)
        }

        var reason: Reason
        let deadline: UInt64
    }

    let ballot: Ballot
    let since: UInt64
    /// The confirmation that those who could lead in this node's place are asked for, and when it was asked.
    var succession: (round: UInt64, at: UInt64)?
    /// This node's bit.
    let mine: Electorate.Set
    var closing: Closing?

    /// Proposals in order of their sequence numbers: `flights[i]` has number `firstSequence + i`.
    var flights: [Flight] = []
    /// How many entries at the front of `flights` are over.
    var head = 0
    var firstSequence: UInt64 = 1
    var unchosen = 0
    /// The newest proposal of each key that has one that is not chosen.
    var newestInFlight: [Key: UInt64] = [:]

    var parked: [Key: [Waiting]] = [:]
    var confirming: [Waiting] = []
    var confirmingHead = 0
    var barriers: [Waiting] = []
    var waitingCount = 0

    /// The last confirmation round that was sent, and per member the last that it answered.
    var round: UInt64 = 0
    var wantsConfirm = false
    var confirmed: [UInt64]
    var confirmedRound: UInt64 = 0
    var confirmedAt: UInt64
    var beaconAt: UInt64

    /// What this node held when it promised itself, before any write of this ballot.
    let digestBefore: PartitionDigest
    /// Every key is known to be chosen in every member set in force.
    var isComplete = false
    /// The keys known already, until all are.
    var known: Set<Key> = []
    /// Keys whose record here is damaged: unknown although the partition is complete.
    var damaged: Set<Key> = []
    var queries: [Key: KeyQuery] = [:]
    var copies: [Key: KeyCopy] = [:]
    var sync: Sync?
    var peers: [PeerProgress]
    var repair: Repair?
    var burials: [Key: Burial] = [:]
    var buriedAt: UInt64
    /// The search for tombstones of earlier leaders, until it is over.
    var search: TombstoneSearch? = TombstoneSearch()
    /// A tombstone found no place among `burials`: another search will find it.
    var hasMissedTombstones = false
    var comparedAt: UInt64
    /// For people and for those who rely on this node, see `lagging`.
    var ownDisk = OwnDisk()

    init(ballot: Ballot, mine: Electorate.Set, digestBefore: PartitionDigest, members: Int, now: UInt64) {
        self.ballot = ballot
        self.mine = mine
        self.digestBefore = digestBefore
        since = now
        confirmed = [UInt64](repeating: 0, count: members)
        peers = [PeerProgress](repeating: PeerProgress(), count: members)
        confirmedAt = now
        beaconAt = now
        buriedAt = now
        comparedAt = now
    }

    var nextSequence: UInt64 { firstSequence + UInt64(flights.count) }

    /// Where the last proposal of each key is in `flights`, of those that are not over. O(flights).
    var lastFlights: [Key: Int] {
        var last: [Key: Int] = [:]
        for position in head..<flights.count { last[flights[position].key] = position }
        return last
    }

    func isInSync(_ index: Int) -> Bool {
        peers[index].isInSync && repair?.member != index
    }

    /// Notes that these members may lack the newest record of the key; never this one, by which the others are judged.
    mutating func suspect(_ key: Key, of set: Electorate.Set) {
        let bit: UInt64 = 1 << UInt64(PartitionDigest.bucket(of: key))
        for index in peers.indices where set & ~mine & (1 << Electorate.Set(index)) != 0 {
            peers[index].suspectBuckets |= bit
        }
    }

    /// Forgets the proposals at the front that every member has; keeps at most `maximumTail` that only a quorum has,
    /// and remembers who would need a walk after that.
    mutating func trimFlights(everyone: Electorate.Set, maximumTail: Int) {
        while head < flights.count, flights[head].isChosen {
            let missing = everyone & ~flights[head].acks
            if missing != 0 {
                guard flights.count - head > maximumTail else { break }
                suspect(flights[head].key, of: missing)
            }
            head += 1
        }
        if head >= 256, head * 2 >= flights.count {
            flights.removeFirst(head)
            firstSequence += UInt64(head)
            head = 0
        }
    }

    /// Makes everything unanswered due again.
    mutating func retransmitSoon() {
        for index in flights.indices.dropFirst(head) { flights[index].sentAt = 0 }
        for key in queries.keys { queries[key]?.sentAt = 0 }
        for key in copies.keys { copies[key]?.sentAt = 0 }
        for index in peers.indices {
            peers[index].preparedAt = 0
            peers[index].patience = Patience()
        }
        sync?.sentAt = 0
        repair?.sentAt = 0
        beaconAt = 0
    }

    /// Answers every operation that is not over: those that proposed something with unknown, the rest with `refusal`.
    func endAll(refusal: Refusal, electorate: Electorate, output: inout Output) {
        for flight in flights.dropFirst(head) where !flight.isChosen {
            guard let id = flight.operation else { continue }
            let outcome = Outcome.unknown(
                acked: electorate.count(flight.acks), required: electorate.writeQuorum)
            output.replies.append(Output.Reply(id: id, outcome: outcome))
        }
        for waiting in allWaiting {
            output.replies.append(Output.Reply(id: waiting.id, outcome: .refused(refusal)))
        }
    }

    /// In order of arrival where it matters to nobody else: sorted by id, so that runs repeat exactly.
    var allWaiting: [Waiting] {
        (parked.values.flatMap { $0 } + confirming.dropFirst(confirmingHead) + barriers).sorted { $0.id < $1.id }
    }
}

/// Asking the members what they hold of one key (rule 3).
struct KeyQuery: Sendable {
    /// Numbers the questions about a key: an answer to an earlier one may be from before this leader wrote it, and must not
    /// count as one to this, which asks because what was written here can't be read any more.
    let round: UInt64
    /// The own answer is on its way to the disk and back: it can't be lost, so it is given once.
    var hasOwnAnswer = false
    var answered: Electorate.Set = 0
    var records: [Int: Record] = [:]
    var sentAt: UInt64
}

/// Bringing one chosen record to every member set (rule 8).
struct KeyCopy: Sendable {
    let record: Record
    var acks: Electorate.Set
    var sentAt: UInt64
}

/// What the leader knows of one member.
struct PeerProgress: Sendable {
    /// It promised this ballot.
    var hasPromised = false
    var preparedAt: UInt64 = 0
    /// Buckets in which it may lack something.
    var suspectBuckets: UInt64 = 0
    /// How much of what it owes is said again, and when.
    var patience = Patience()
    var isInSync: Bool { hasPromised && suspectBuckets == 0 }
}

/// Looking through what the leader holds for tombstones that an earlier leader left.
struct TombstoneSearch: Sendable {
    var after: Key?
    /// When the last page was read.
    var pageAt: UInt64 = 0
}

/// A tombstone on its way out (rule 9).
struct Burial: Sendable {
    let version: Version
    var holders: Electorate.Set = 0
    var askedAt: UInt64
}
