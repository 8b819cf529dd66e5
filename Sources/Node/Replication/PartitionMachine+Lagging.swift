public import KVProtocols

/// Who lacks what was answered as written; for those who rely on the other members, never for a decision of the machine.
extension PartitionMachine {
    /// Members that are not known to hold everything. Empty unless leading. A member that is merely a moment behind is not
    /// among them: one that owes what is chosen is, once something was said to it again in vain, twice, and this node once its
    /// own disk has been busy with it for as long. O(writes that some member has not confirmed).
    public var lagging: [NodeID] {
        guard let leadership else { return [] }
        let owing = leadership.owing(everyone: electorate.everyone, patience: 2 * settings.retransmit)
        return electorate.nodes.enumerated().compactMap { index, node in
            let isComplete = leadership.isInSync(index) && owing & (1 << Electorate.Set(index)) == 0
            return isComplete && !lost.contains(node) ? nil : node
        }
    }
}

extension Leadership {
    /// The members that have not confirmed something chosen, and don't answer; this one after `patience` milliseconds.
    fileprivate func owing(everyone: Electorate.Set, patience: UInt64) -> Electorate.Set {
        var silent: Electorate.Set = ownDisk.waited >= patience ? mine : 0
        for index in peers.indices where peers[index].patience.isSilent { silent |= 1 << Electorate.Set(index) }
        silent &= everyone
        var owing: Electorate.Set = 0
        for flight in flights[head...] where flight.isChosen {
            guard owing != silent else { break }
            owing |= silent & ~flight.acks
        }
        return owing
    }

    /// Notes for how long the oldest proposal that is not durable here has been the oldest: nobody says it to this node again,
    /// so that no repetition tells. O(1) per proposal.
    mutating func watchOwnDisk(now: UInt64) {
        var position = head
        if ownDisk.sequence > firstSequence { position = max(head, Int(ownDisk.sequence - firstSequence)) }
        while position < flights.count, flights[position].acks & mine != 0 { position += 1 }
        let sequence = firstSequence + UInt64(position)
        if sequence != ownDisk.sequence || position == flights.count {
            ownDisk.since = now
            ownDisk.sequence = sequence
        }
        ownDisk.waited = now - ownDisk.since
    }
}

/// How long this node's disk has been busy with the oldest proposal that it has not stored.
struct OwnDisk: Sendable {
    var sequence: UInt64 = 0
    var since: UInt64 = 0
    /// As of the last tick; in milliseconds.
    var waited: UInt64 = 0
}
