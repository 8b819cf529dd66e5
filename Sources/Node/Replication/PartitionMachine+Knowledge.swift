import KVProtocols

/// Rule 3: knowing a key's chosen record, settling what is not chosen, and rule 8's copies.
extension PartitionMachine {
    func isKnown(_ key: Key) -> Bool {
        guard let complete = leadership?.isComplete else { return false }
        if complete {
            return leadership?.damaged.isEmpty == true || leadership?.damaged.contains(key) == false
        }
        // A key that this leader wrote is settled by its newest write, which whoever reads will wait for.
        return leadership?.newestInFlight[key] != nil || leadership?.known.contains(key) == true
    }

    /// The key's newest record is chosen, and this leader's store has it.
    mutating func keyKnown<Store: ReplicaStore>(
        _ key: Key, now: UInt64, store: inout Store, output: inout Output
    ) {
        if leadership?.isComplete == false { leadership?.known.insert(key) }
        if leadership?.damaged.isEmpty == false { leadership?.damaged.remove(key) }
        if leadership?.queries.isEmpty == false { leadership?.queries[key] = nil }
        wake(key, now: now, store: &store, output: &output)
        settledInSync(key, now: now, store: &store, output: &output)
    }

    /// What is stored here fails verification: the others know.
    mutating func damaged<Store: ReplicaStore>(
        _ key: Key, now: UInt64, store: inout Store, output: inout Output
    ) {
        leadership?.damaged.insert(key)
        leadership?.known.remove(key)
        query(key, now: now, store: &store, output: &output)
    }

    /// A leader settles the key at once, as when a client had asked for it. A member need not do anything: its digest
    /// differs, and its leader compares digests. Alone there is nobody to ask.
    mutating func foundDamaged<Store: ReplicaStore>(
        _ key: Key, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership != nil, electorate.nodes.count > 1, case .damaged = store.record(of: key) else { return }
        damaged(key, now: now, store: &store, output: &output)
    }

    // MARK: - Asking

    mutating func query<Store: ReplicaStore>(
        _ key: Key, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.queries[key] == nil, leadership?.copies[key] == nil else { return }
        lastQueryRound += 1
        leadership?.queries[key] = KeyQuery(round: lastQueryRound, sentAt: now)
        ask(key, store: store, output: &output)
    }

    /// What the others said can't be stored here for the moment: they are asked again after a while.
    private mutating func queryLater(_ key: Key, now: UInt64) {
        lastQueryRound += 1
        leadership?.queries[key] = KeyQuery(round: lastQueryRound, sentAt: now)
    }

    private mutating func ask<Store: ReplicaStore>(_ key: Key, store: Store, output: inout Output) {
        guard let query = leadership?.queries[key] else { return }
        sendToOthers(of: ~query.answered, .query(round: query.round, key), output: &output)
        guard !query.hasOwnAnswer else { return }
        // The own answer counts once what it shows is durable, like everybody's.
        switch store.record(of: key) {
        case .found(let record):
            replyAfterPersist(.known(round: query.round, key, record), to: me, header, output: &output)
        case .absent: replyAfterPersist(.known(round: query.round, key, nil), to: me, header, output: &output)
        case .damaged, .unreadable: return
        }
        leadership?.queries[key]?.hasOwnAnswer = true
    }

    mutating func known<Store: ReplicaStore>(
        _ round: UInt64, _ key: Key, _ record: Record?, by index: Int, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        guard leadership?.queries[key]?.round == round else { return }
        leadership?.queries[key]?.answered |= 1 << Electorate.Set(index)
        leadership?.queries[key]?.records[index] = record
        guard let query = leadership?.queries[key] else { return }
        if !electorate.isReadQuorum(query.answered) {
            // A node whose own record is damaged has no answer of its own; the others may be enough without it.
            guard electorate.meetsEveryWrite(query.answered), !store.record(of: key).isTold else { return }
        }
        answered(key, query, now: now, store: &store, output: &output)
    }

    /// Enough members said what they hold.
    private mutating func answered<Store: ReplicaStore>(
        _ key: Key, _ query: KeyQuery, now: UInt64, store: inout Store, output: inout Output
    ) {
        leadership?.queries[key] = nil
        // Overtaken by a write of this leader, whose choice will make the key known.
        guard leadership?.newestInFlight[key] == nil else { return }
        guard let best = query.records.values.max(by: { $0.version < $1.version }) else {
            // Absent at R members of every set: nothing was ever chosen, and what a lone member may hold never counts.
            suspect(key, of: electorate.everyone & ~query.answered)
            if case .absent = store.version(of: key) {
                keyKnown(key, now: now, store: &store, output: &output)
            } else if leadership?.closing == nil {
                // What this node alone holds, or held before it was damaged, must not be taken for chosen.
                propose(key, value: nil, expiresAt: 0, now: now, store: &store, output: &output)
            }
            return
        }
        var holders: Electorate.Set = 0
        for (index, record) in query.records where record.version == best.version {
            holders |= 1 << Electorate.Set(index)
        }
        settle(key, best, holders: holders, now: now, store: &store, output: &output)
    }

    /// Rule 3: chosen already; chosen in the old set of a move, so it is copied; or not known to be chosen, so it is written again.
    mutating func settle<Store: ReplicaStore>(
        _ key: Key, _ best: Record, holders: Electorate.Set, now: UInt64, store: inout Store, output: inout Output
    ) {
        // This node may hold something newer that was not among the answers, and is not chosen: it must not be shown.
        let isOutdone = store.version(of: key).value.map { $0 > best.version } ?? false
        if electorate.isWriteQuorum(holders), !isOutdone {
            guard storeIfNewer(key, best, store: &store) else { return queryLater(key, now: now) }
            suspect(key, of: electorate.everyone & ~holders)
            keyKnown(key, now: now, store: &store, output: &output)
        } else if electorate.isWriteQuorumOfPrevious(holders), !isOutdone {
            copy(key, best, holders: holders, now: now, store: &store, output: &output)
        } else if leadership?.closing == nil {
            propose(
                key, value: best.value, expiresAt: best.expiresAt, now: now, store: &store, output: &output)
        }
    }

    // MARK: - Copying

    mutating func copy<Store: ReplicaStore>(
        _ key: Key, _ record: Record, holders: Electorate.Set, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        leadership?.copies[key] = KeyCopy(record: record, acks: holders & ~electorate.bit(of: me), sentAt: now)
        if storeIfNewer(key, record, store: &store) {
            replyAfterPersist(.copied(key, record.version), to: me, header, output: &output)
        }
        sendToOthers(of: ~holders, .copy(key, record), output: &output)
    }

    mutating func copied<Store: ReplicaStore>(
        _ key: Key, _ version: Version, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        leadership?.peers[index].patience.answered()
        repaired(key, version, by: index, now: now, store: &store, output: &output)
        guard leadership?.copies[key]?.record.version == version else { return }
        leadership?.copies[key]?.acks |= 1 << Electorate.Set(index)
        guard let acks = leadership?.copies[key]?.acks, electorate.isWriteQuorum(acks) else { return }
        leadership?.copies[key] = nil
        suspect(key, of: electorate.everyone & ~acks)
        guard leadership?.newestInFlight[key] == nil else { return }
        keyKnown(key, now: now, store: &store, output: &output)
    }

    /// Says again what was not answered. In ascending order of key: the order of a dictionary must not show.
    mutating func tickKnowledge<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard let leadership, !leadership.queries.isEmpty || !leadership.copies.isEmpty else { return }
        let due = leadership.queries.filter { now >= $0.value.sentAt + settings.retransmit }.keys.sorted()
        for key in due.prefix(256) {
            if let query = leadership.queries[key], electorate.meetsEveryWrite(query.answered) {
                // Somebody can't answer, perhaps for damage: there are enough without.
                answered(key, query, now: now, store: &store, output: &output)
            } else {
                self.leadership?.queries[key]?.sentAt = now
                ask(key, store: store, output: &output)
            }
        }
        let dueCopies = leadership.copies.filter { now >= $0.value.sentAt + settings.retransmit }.keys.sorted()
        guard !dueCopies.isEmpty else { return }
        var round = RepeatRound(leadership.peers, among: reachable & ~electorate.bit(of: me), now: now)
        for key in dueCopies {
            guard round.open != 0 else { break }
            guard let copy = leadership.copies[key], case let missing = round.open & ~copy.acks, missing != 0 else {
                continue
            }
            self.leadership?.copies[key]?.sentAt = now
            sendToOthers(of: missing, .copy(key, copy.record), output: &output)
            round.spend(copy.record.value?.count ?? 0, on: missing)
        }
        if var peers = self.leadership?.peers {
            round.end(&peers, now: now, shortest: settings.retransmit)
            self.leadership?.peers = peers
        }
    }
}
