import KVProtocols

/// A try to become leader.
struct Candidacy: Sendable {
    enum Phase: Sendable { case canvassing, preparing }

    var phase: Phase
    var ballot: Ballot
    var polite: Bool
    /// Who would promise.
    var supporters: Electorate.Set = 0
    /// Who has promised.
    var promises: Electorate.Set = 0
    /// What each of those held when it promised.
    var digests: [Int: PartitionDigest] = [:]
    var sentAt: UInt64
    var giveUpAt: UInt64
}

/// Rule 1: becoming a leader. A member that hears no leader first canvasses, which changes nothing anywhere; with R of
/// each member set willing it raises its ballot, durably, and asks for promises.
extension PartitionMachine {
    /// Decides when to canvass next. After the loss of a leader the members try in their order of preference, a little
    /// apart, so that duels are rare; otherwise after a random part of the time-out.
    mutating func scheduleElection(now: UInt64, first: Bool) {
        if first {
            let reachable = electorate.nodes.filter { !lost.contains($0) }
            let rank = UInt64(reachable.firstIndex(of: me) ?? reachable.count)
            electionAt = now + rank * 40 + random.below(10)
        } else {
            electionAt = now + 50 + random.below(settings.electionTimeout / 2)
        }
    }

    mutating func tickElection<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard leadership == nil, isMember else { return }
        if let candidacy {
            if now >= candidacy.giveUpAt {
                self.candidacy = nil
                scheduleElection(now: now, first: false)
            } else if now >= candidacy.sentAt + settings.retransmit / 2 {
                self.candidacy?.sentAt = now
                askAgain(candidacy, output: &output)
                prepareIfSupported(now: now, store: &store, output: &output)
            }
        } else if now >= electionAt + (diskIsFull ? 2 * settings.electionTimeout : 0) {
            canvass(polite: false, now: now, store: &store, output: &output)
        } else {
            wishToLeadIfPreferred(now: now, output: &output)
        }
    }

    mutating func canvass<Store: ReplicaStore>(
        polite: Bool, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard isMember, leadership == nil else { return }
        if leader != nil {
            leader = nil
            output.statusChanged = true
        }
        candidacy = Candidacy(
            phase: .canvassing,
            ballot: Ballot(counter: max(highestSeen, state.promised.counter) + 1, node: me), polite: polite,
            supporters: electorate.bit(of: me), sentAt: now, giveUpAt: now + settings.electionTimeout)
        sendToOthers(.canvass(state.configuration, polite: polite), output: &output)
        prepareIfSupported(now: now, store: &store, output: &output)
    }

    private mutating func prepareIfSupported<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let candidacy, candidacy.phase == .canvassing, electorate.isReadQuorum(candidacy.supporters) else {
            return
        }
        // Where few are enough to read, the others may yet know a live leader: they are given a moment to say so.
        let waited = now + settings.electionTimeout >= candidacy.giveUpAt + settings.retransmit
        guard waited || electorate.isMajority(candidacy.supporters) || candidacy.supporters & reachable == reachable
        else { return }
        prepare(polite: candidacy.polite, now: now, store: &store, output: &output)
    }

    /// Raises the ballot and asks for promises. The own promise is durable before anyone hears of the ballot: a
    /// restarted process can't use it again.
    mutating func prepare<Store: ReplicaStore>(
        polite: Bool, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard isMember else { return }
        let ballot = Ballot(counter: max(highestSeen, state.promised.counter) + 1, node: me)
        highestSeen = ballot.counter
        state.promised = ballot
        markPromise(store: store)
        store.save(state)
        candidacy = Candidacy(
            phase: .preparing, ballot: ballot, polite: polite, sentAt: now, giveUpAt: now + settings.electionTimeout)
        for node in electorate.nodes where !lost.contains(node) || node == me {
            let message: Message =
                node == me ? .promised(store.digest) : .prepare(state.configuration, polite: polite)
            output.afterPersist.append(Outgoing(to: node, header: header, message: message))
        }
    }

    private func askAgain(_ candidacy: Candidacy, output: inout Output) {
        switch candidacy.phase {
        case .canvassing:
            sendToOthers(
                of: ~candidacy.supporters, .canvass(state.configuration, polite: candidacy.polite), output: &output)
        case .preparing:
            // The own promise must still be durable before anyone hears of the ballot; its echo tells.
            guard candidacy.promises & electorate.bit(of: me) != 0 else { return }
            sendToOthers(
                of: ~candidacy.promises, .prepare(state.configuration, polite: candidacy.polite), output: &output)
        }
    }

    // MARK: - As the one that is asked

    mutating func canvassed<Store: ReplicaStore>(
        _ configuration: Configuration, _ header: Header, from: NodeID, polite: Bool, now: UInt64,
        store: inout Store, output: inout Output
    ) {
        consider(configuration, now: now, store: &store, output: &output)
        guard header.epoch <= state.configuration.epoch else { return }
        guard header.epoch == state.configuration.epoch else {
            return reply(.install(state.configuration), to: from, header, output: &output)
        }
        guard electorate.index(of: from) != nil, isMember else { return }
        guard header.ballot > state.promised else {
            return reject(.ballot, to: from, header, output: &output)
        }
        guard polite || !hasLiveLeader(besides: from, now: now) else {
            return reject(.leaderAlive, to: from, header, output: &output)
        }
        reply(.supported, to: from, header, output: &output)
    }

    mutating func prepared<Store: ReplicaStore>(
        _ configuration: Configuration, _ header: Header, from: NodeID, polite: Bool, now: UInt64,
        store: inout Store, output: inout Output
    ) {
        adoptIfNewer(configuration, now: now, store: &store, output: &output)
        if header.ballot > state.promised, !polite, hasLiveLeader(besides: from, now: now) {
            return reject(.leaderAlive, to: from, header, output: &output)
        }
        guard admits(header, from: from, now: now, store: &store, output: &output) else { return }
        // A leader that takes in a late member prepares it under the ballot by which it leads already.
        electionAt = max(electionAt, now + settings.electionTimeout / 2 + random.below(settings.electionTimeout / 2))
        replyAfterPersist(.promised(digestAtPromise(store: store)), to: from, header, output: &output)
    }

    /// Whether a leader other than the candidate was heard a short while ago, and its connection is not closed.
    func hasLiveLeader(besides candidate: NodeID, now: UInt64) -> Bool {
        if let leadership { return now < leadership.confirmedAt + settings.electionTimeout / 2 }
        guard let leader, leader != candidate, !lost.contains(leader) else { return false }
        return now < heardAt + settings.electionTimeout / 2
    }

    // MARK: - Answers

    mutating func supported<Store: ReplicaStore>(
        by from: NodeID, _ header: Header, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard candidacy?.phase == .canvassing, candidacy?.ballot == header.ballot else { return }
        candidacy?.supporters |= electorate.bit(of: from)
        prepareIfSupported(now: now, store: &store, output: &output)
    }

    mutating func promised<Store: ReplicaStore>(
        _ digest: PartitionDigest, by from: NodeID, _ header: Header, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        guard let index = electorate.index(of: from) else { return }
        if leadership?.ballot == header.ballot {
            takeIn(index, digest, now: now, store: &store, output: &output)
            return
        }
        guard candidacy?.phase == .preparing, candidacy?.ballot == header.ballot,
            state.promised == header.ballot
        else { return }
        candidacy?.promises |= electorate.bit(of: from)
        candidacy?.digests[index] = digest
        guard let candidacy, electorate.isReadQuorum(candidacy.promises) else { return }
        // Its own promise is part of it: without it the store's digest would not be among those compared.
        guard candidacy.promises & electorate.bit(of: me) != 0 else { return }
        lead(candidacy, now: now, store: &store, output: &output)
    }

    mutating func rejected<Store: ReplicaStore>(
        _ rejection: Rejection, by from: NodeID, _ header: Header, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        highestSeen = max(highestSeen, rejection.promised.counter)
        guard header.epoch == state.configuration.epoch else { return }
        switch rejection.reason {
        case .configuration:
            send(.install(state.configuration), to: from, output: &output)
        case .purgeEpoch:
            raisePurgeEpoch(to: rejection.purgeEpoch, store: &store)
        case .ballot:
            // A late canvass is turned away by the very ballot that it led to.
            guard rejection.promised > header.ballot || candidacy?.phase == .canvassing else { break }
            if let candidacy, candidacy.ballot == header.ballot {
                self.candidacy = nil
                scheduleElection(now: now, first: false)
            } else if leadership?.ballot == header.ballot {
                // One member promised a higher ballot: a quorum may still be ours, but that member is lost to us until
                // we lead under a higher one.
                close(.ballot, now: now, store: &store, output: &output)
            }
        case .leaderAlive:
            if candidacy?.ballot == header.ballot {
                self.candidacy = nil
                electionAt = now + settings.electionTimeout / 2 + random.below(settings.electionTimeout)
            }
        case .storage:
            break
        }
    }

    private mutating func raisePurgeEpoch<Store: ReplicaStore>(to purgeEpoch: UInt64, store: inout Store) {
        if purgeEpoch > state.purgeEpoch {
            state.purgeEpoch = purgeEpoch
            store.save(state)
        }
        leadership?.retransmitSoon()
    }

    // MARK: - Handing over

    /// The preferred leader, when another leads well, asks for the lead now and then.
    private mutating func wishToLeadIfPreferred(now: UInt64, output: inout Output) {
        guard !diskIsFull, state.configuration.members.first == me, let leader, leader != me, !lost.contains(leader),
            now >= lastWishAt + 2 * settings.electionTimeout
        else { return }
        lastWishAt = now
        send(.wishToLead, to: leader, output: &output)
    }

    /// A leader whose disk is full must refuse writes that a quorum of others could store: it hands over to the first of
    /// them that holds everything. Now and then only, as their disks may be full too.
    ///
    /// The others must be a quorum that is there at this moment: this node can promise nobody anything while its disk is
    /// full, so what it gives away to fewer nobody could lead, and not even reads would be answered.
    mutating func handOverIfFull(now: UInt64) {
        guard diskIsFull, now >= keepsLeadUntil, !state.configuration.isJoint, let leadership, leadership.isComplete,
            leadership.closing == nil
        else { return }
        guard let asked = leadership.succession, now < asked.at + 2 * settings.beacon else {
            let round = roundToCome()
            self.leadership?.succession = (round, at: now)
            return
        }
        var others: Electorate.Set = 0
        for (index, round) in leadership.confirmed.enumerated() where round >= asked.round {
            others |= 1 << Electorate.Set(index)
        }
        others &= ~electorate.bit(of: me)
        guard electorate.isReadQuorum(others), electorate.isWriteQuorum(others) else { return }
        let successor = electorate.nodes.indices.first { index in
            others & (1 << Electorate.Set(index)) != 0 && leadership.isInSync(index)
        }
        guard let successor else { return }
        keepsLeadUntil = now + 16 * settings.electionTimeout
        self.leadership?.closing = Leadership.Closing(
            reason: .handOver(electorate.nodes[successor]), deadline: now + settings.drain)
    }

    /// A leader hands over only to a member that holds everything, in a quiet configuration.
    mutating func wishedToLead(from: NodeID, _ header: Header, now: UInt64, output: inout Output) {
        guard header.epoch == state.configuration.epoch, !state.configuration.isJoint,
            state.configuration.members.first == from, let index = electorate.index(of: from),
            let leadership, leadership.isComplete, leadership.isInSync(index), leadership.closing == nil
        else { return }
        self.leadership?.closing = Leadership.Closing(
            reason: .handOver(from), deadline: now + settings.drain)
    }

    mutating func handedOver<Store: ReplicaStore>(
        _ header: Header, from: NodeID, now: UInt64, store: inout Store, output: inout Output
    ) {
        // An offer that comes late, when others have led since, would only disturb.
        guard header.epoch == state.configuration.epoch, header.ballot.node == from, header.ballot >= state.promised,
            leadership == nil, candidacy == nil
        else { return }
        prepare(polite: true, now: now, store: &store, output: &output)
    }
}
