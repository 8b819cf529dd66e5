import KVProtocols

/// Rule 2: proposing, counting, answering.
extension PartitionMachine {
    mutating func lead<Store: ReplicaStore>(
        _ candidacy: Candidacy, now: UInt64, store: inout Store, output: inout Output
    ) {
        self.candidacy = nil
        let digestBefore = electorate.index(of: me).flatMap { candidacy.digests[$0] } ?? store.digest
        leadership = Leadership(
            ballot: candidacy.ballot, mine: electorate.bit(of: me), digestBefore: digestBefore,
            members: electorate.nodes.count, now: now)
        leader = me
        output.statusChanged = true
        for index in candidacy.digests.keys.sorted() {
            guard let digest = candidacy.digests[index] else { continue }
            leadership?.peers[index].hasPromised = true
            leadership?.peers[index].suspectBuckets = digestBefore.differing(from: digest)
        }
        leadership?.wantsConfirm = true
        sendConfirmIfWanted(now: now, output: &output)
        startSyncIfPossible(now: now, store: &store, output: &output)
    }

    /// Gives a record its version and sends it to everybody; the own disk works at the same time.
    mutating func propose<Store: ReplicaStore>(
        _ key: Key, value: [UInt8]?, expiresAt: UInt64, operation: UInt64? = nil, number: Int64? = nil,
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let sequence = leadership?.nextSequence, let ballot = leadership?.ballot else { return }
        let record = Record(
            key: key, version: Version(ballot: ballot, sequence: sequence), value: value, expiresAt: expiresAt)
        leadership?.flights.append(
            Leadership.Flight(
                key: key, record: record, acks: 0, operation: operation, value: number, sentAt: now))
        leadership?.unchosen += 1
        leadership?.newestInFlight[key] = sequence
        sendToOthers(.accept(key, record), output: &output)
        put(key, record, replacing: store.version(of: key), store: &store)
        replyAfterPersist(.accepted(sequence: sequence), to: me, header, output: &output)
    }

    /// Messages to a leader from those that obey it, and to a candidate.
    mutating func answered<Store: ReplicaStore>(
        _ message: Message, _ header: Header, from: NodeID, now: UInt64, store: inout Store, output: inout Output
    ) {
        switch message {
        case .supported:
            supported(by: from, header, now: now, store: &store, output: &output)
            return
        case .promised(let digest):
            guard header.epoch == state.configuration.epoch else { return }
            promised(digest, by: from, header, now: now, store: &store, output: &output)
            return
        case .rejected(let rejection):
            rejected(rejection, by: from, header, now: now, store: &store, output: &output)
            return
        default:
            break
        }
        guard header.epoch == state.configuration.epoch, leadership?.ballot == header.ballot,
            let index = electorate.index(of: from)
        else { return }
        switch message {
        case .accepted(let sequence):
            accepted(sequence, by: index, now: now, store: &store, output: &output)
        case .confirmed(let round):
            confirmed(round, by: index, now: now, store: &store, output: &output)
        case .known(let round, let key, let record):
            known(round, key, record, by: index, now: now, store: &store, output: &output)
        case .copied(let key, let version):
            copied(key, version, by: index, now: now, store: &store, output: &output)
            // A copy of what this leader wrote is what it still has on its way to the member.
            if version.ballot == header.ballot {
                accepted(version.sequence, by: index, now: now, store: &store, output: &output)
            }
        case .walked(let round, let page):
            walked(round, page, by: index, now: now, store: &store, output: &output)
        case .recalled(let round, let answer):
            recalled(round, answer, by: index, now: now, store: &store, output: &output)
        case .digested(let round, let digest):
            digested(round, digest, by: index, now: now, store: &store, output: &output)
        case .burial(let key, let version, let holds):
            burial(key, version, holds: holds, by: index, now: now, store: &store, output: &output)
        default:
            break
        }
    }

    /// A proposal that a newer one of its key has replaced is never sent again: where the newer one was damaged, it would
    /// take its place. Whoever stored the newer one has nothing older to store, so it counts for both.
    private mutating func inherit<Store: ReplicaStore>(
        _ position: Int, from newer: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let acks = leadership?.flights[newer].acks, let first = leadership?.firstSequence else { return }
        leadership?.flights[position].acks |= acks
        guard let all = leadership?.flights[position].acks, leadership?.flights[position].isChosen == false,
            electorate.isWriteQuorum(all)
        else { return }
        chosen(position, first + UInt64(position), now: now, store: &store, output: &output)
    }

    private mutating func accepted<Store: ReplicaStore>(
        _ sequence: UInt64, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let first = leadership?.firstSequence, sequence >= first,
            let count = leadership?.flights.count, sequence - first < UInt64(count)
        else { return }
        let position = Int(sequence - first)
        let bit: Electorate.Set = 1 << Electorate.Set(index)
        guard let acks = leadership?.flights[position].acks, acks & bit == 0 else { return }
        leadership?.flights[position].acks = acks | bit
        leadership?.peers[index].patience.answered()
        if leadership?.flights[position].isChosen == false, electorate.isWriteQuorum(acks | bit) {
            chosen(position, sequence, now: now, store: &store, output: &output)
        }
        if acks | bit == electorate.everyone {
            leadership?.trimFlights(everyone: acks | bit, maximumTail: settings.maximumTail)
        }
    }

    private mutating func chosen<Store: ReplicaStore>(
        _ position: Int, _ sequence: UInt64, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let flight = leadership?.flights[position] else { return }
        leadership?.flights[position].isChosen = true
        leadership?.flights[position].record = nil
        leadership?.unchosen -= 1
        if let id = flight.operation {
            let outcome = Outcome.written(
                Version(ballot: header.ballot, sequence: sequence), acks: electorate.count(flight.acks),
                required: electorate.writeQuorum, value: flight.value)
            output.replies.append(Output.Reply(id: id, outcome: outcome))
        }
        if let record = flight.record, record.isTombstone { buryLater(flight.key, record.version, now: now) }
        // Proposals of one leader are ordered: the newest of a key being chosen settles the earlier ones too, but each
        // client is answered only by its own quorum.
        if leadership?.newestInFlight[flight.key] == sequence {
            leadership?.newestInFlight[flight.key] = nil
            keyKnown(flight.key, now: now, store: &store, output: &output)
        }
        releaseBarriers(now: now, store: &store, output: &output)
        if leadership?.unchosen == 0 { closeIfDrained(now: now, store: &store, output: &output) }
    }

    /// Notes that these members may lack the newest record of the key: a walk will tell.
    mutating func suspect(_ key: Key, of set: Electorate.Set) {
        leadership?.suspect(key, of: set)
    }

    // MARK: - Time

    mutating func tick<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        adoptAnnounced(now: now, store: &store, output: &output)
        tickElection(now: now, store: &store, output: &output)
        guard let leadership else { return }
        if now >= leadership.confirmedAt + 2 * settings.electionTimeout {
            // Nobody follows: say so, so that clients are told and a better placed member may try.
            resign(now: now, output: &output)
            return
        }
        if now >= leadership.beaconAt + settings.beacon {
            self.leadership?.wantsConfirm = true
            sendConfirmIfWanted(now: now, output: &output)
        }
        retransmit(now: now, store: &store, output: &output)
        self.leadership?.watchOwnDisk(now: now)
        tickKnowledge(now: now, store: &store, output: &output)
        tickSync(now: now, store: &store, output: &output)
        startSyncIfPossible(now: now, store: &store, output: &output)
        tickRepair(now: now, store: &store, output: &output)
        tickTombstoneSearch(now: now, store: store)
        tickBurials(now: now, store: &store, output: &output)
        handOverIfFull(now: now)
        closeIfDrained(now: now, store: &store, output: &output)
    }

    /// Says again what was not answered, to those that can be reached; a bounded number per tick.
    private mutating func retransmit<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        leadership?.trimFlights(everyone: electorate.everyone, maximumTail: settings.maximumTail)
        retransmitFlights(now: now, store: &store, output: &output)
        guard let leadership else { return }
        let reachable = reachable
        for (index, node) in electorate.nodes.enumerated()
        where node != me && reachable & (1 << Electorate.Set(index)) != 0 {
            let peer = leadership.peers[index]
            guard !peer.hasPromised, now >= peer.preparedAt + settings.retransmit else { continue }
            self.leadership?.peers[index].preparedAt = now
            send(.prepare(state.configuration, polite: true), to: node, output: &output)
        }
    }

    private mutating func retransmitFlights<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let leadership, leadership.head < leadership.flights.count else { return }
        var round = RepeatRound(leadership.peers, among: reachable & ~electorate.bit(of: me), now: now)
        var last: [Key: Int]?
        for position in leadership.head..<leadership.flights.count {
            guard round.open != 0 else { break }
            let flight = leadership.flights[position]
            guard now >= flight.sentAt + settings.retransmit else { continue }
            let missing = round.open & ~flight.acks
            guard missing != 0 else { continue }
            if last == nil { last = leadership.lastFlights }
            if let newer = last?[flight.key], newer > position {
                inherit(position, from: newer, now: now, store: &store, output: &output)
                continue
            }
            self.leadership?.flights[position].sentAt = now
            let sequence = leadership.firstSequence + UInt64(position)
            let version = Version(ballot: leadership.ballot, sequence: sequence)
            var record = flight.record
            if record == nil, let held = store.record(of: flight.key).value, held.version == version { record = held }
            if let record {
                sendToOthers(of: missing, .accept(flight.key, record), output: &output)
                round.spend(record.value?.count ?? 0, on: missing)
            } else {
                // A newer record of the key took its place, and has a flight of its own; or this one can't be read.
                if store.version(of: flight.key).value.map({ $0 <= version }) ?? true {
                    suspect(flight.key, of: electorate.everyone & ~flight.acks)
                }
                self.leadership?.flights[position].acks = electorate.everyone
            }
        }
        if var peers = self.leadership?.peers {
            round.end(&peers, now: now, shortest: settings.retransmit)
            self.leadership?.peers = peers
        }
    }
}
