import KVProtocols

/// What a member does with messages: the fences of every rule, and the promises and stores of rules 1, 2, 8 and 9.
extension PartitionMachine {
    /// Counters of ballots and epochs only grow, by one at a time: no cluster lives to see this one. A peer that says it
    /// did is wrong, and believing it would leave no next number.
    private static let counterLimit: UInt64 = 1 << 62

    private static func isPlausible(_ header: Header, _ message: Message) -> Bool {
        var largest = max(header.ballot.counter, header.purgeEpoch)
        if case .rejected(let rejection) = message {
            largest = max(largest, rejection.promised.counter, rejection.purgeEpoch)
        }
        return largest < counterLimit
    }

    mutating func receive<Store: ReplicaStore>(
        _ message: Message, _ header: Header, from: NodeID, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard Self.isPlausible(header, message) else { return }
        highestSeen = max(highestSeen, header.ballot.counter)
        switch message {
        case .canvass(let configuration, let polite):
            canvassed(configuration, header, from: from, polite: polite, now: now, store: &store, output: &output)
        case .prepare(let configuration, let polite):
            prepared(configuration, header, from: from, polite: polite, now: now, store: &store, output: &output)
        case .accept, .copy, .confirm, .query, .digest, .walk, .recall, .buried, .purge:
            obey(message, header, from: from, now: now, store: &store, output: &output)
        case .wishToLead:
            wishedToLead(from: from, header, now: now, output: &output)
        case .handOver:
            handedOver(header, from: from, now: now, store: &store, output: &output)
        case .resigned:
            if leader == from, leadership == nil, header.ballot >= state.promised {
                leader = nil
                output.statusChanged = true
                scheduleElection(now: now, first: true)
            }
        case .install(let configuration):
            if leadership == nil, from == leader || header.ballot > state.promised {
                // Whoever leads has it already.
                adoptIfNewer(configuration, now: now, store: &store, output: &output)
            } else {
                consider(configuration, now: now, store: &store, output: &output)
            }
        case .supported, .promised, .accepted, .copied, .confirmed, .known, .digested, .walked, .recalled, .burial,
            .rejected:
            answered(message, header, from: from, now: now, store: &store, output: &output)
        }
    }

    /// Whether the sender's licence holds here; tells it what is known when not. A newer ballot or purge epoch is saved:
    /// what the caller says next must wait for that.
    mutating func admits<Store: ReplicaStore>(
        _ header: Header, from: NodeID, now: UInt64, store: inout Store, output: inout Output
    ) -> Bool {
        // A ballot names its owner: nobody else may use it.
        guard header.ballot.node == from else { return false }
        guard header.epoch == state.configuration.epoch else {
            if header.epoch < state.configuration.epoch {
                reply(.install(state.configuration), to: from, header, output: &output)
            } else {
                reject(.configuration, to: from, header, output: &output)
            }
            return false
        }
        guard state.configuration.contains(me), electorate.index(of: from) != nil else { return false }
        guard header.ballot >= state.promised else {
            reject(.ballot, to: from, header, output: &output)
            return false
        }
        guard header.purgeEpoch >= state.purgeEpoch else {
            reject(.purgeEpoch, to: from, header, output: &output)
            return false
        }
        if header.ballot > state.promised || header.purgeEpoch > state.purgeEpoch {
            let isRaised = header.ballot > state.promised
            if isRaised, from != me { stepDown(output: &output) }
            state.promised = header.ballot
            if isRaised { markPromise(store: store) }
            state.purgeEpoch = header.purgeEpoch
            store.save(state)
        }
        return true
    }

    /// Obeys a leader: rules 2 to 4 and 7 to 9 on the member's side.
    private mutating func obey<Store: ReplicaStore>(
        _ message: Message, _ header: Header, from: NodeID, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard admits(header, from: from, now: now, store: &store, output: &output) else { return }
        heard(leader: from, now: now, output: &output)
        switch message {
        case .accept(let key, let record):
            // Records of this ballot carry it in their version; anything else would break the order of versions.
            guard record.version.ballot == header.ballot else { return }
            guard storeIfNewer(key, record, store: &store) else { return }
            replyAfterPersist(.accepted(sequence: record.version.sequence), to: from, header, output: &output)
        case .copy(let key, let record):
            guard storeIfNewer(key, record, store: &store) else { return }
            replyAfterPersist(.copied(key, record.version), to: from, header, output: &output)
        case .confirm(let round):
            // Says nothing about records: it need not wait for them, only for the promise it repeats.
            if store.isStateDurable {
                reply(.confirmed(round: round), to: from, header, output: &output)
            } else {
                replyAfterPersist(.confirmed(round: round), to: from, header, output: &output)
            }
        case .query(let round, let key):
            switch store.record(of: key) {
            case .found(let record):
                replyAfterPersist(.known(round: round, key, record), to: from, header, output: &output)
            case .absent: replyAfterPersist(.known(round: round, key, nil), to: from, header, output: &output)
            case .damaged, .unreadable: break  // neither present nor absent: no vote
            }
        case .digest(let round):
            replyAfterPersist(.digested(round: round, store.digest), to: from, header, output: &output)
        case .walk(let round, let buckets, let after):
            guard let page = store.walk(buckets: buckets, after: after) else { return }
            replyAfterPersist(.walked(round: round, page), to: from, header, output: &output)
        case .recall(let round, let buckets, let asPromised, let keys):
            let answer = recollect(
                buckets: buckets, keys: keys, asOf: asPromised ? header.ballot : nil, store: store)
            replyAfterPersist(.recalled(round: round, answer), to: from, header, output: &output)
        case .buried(let key, let version):
            let holds =
                if let record = store.record(of: key).value {
                    record.isTombstone && record.version == version
                } else { false }
            replyAfterPersist(.burial(key, version, holds: holds), to: from, header, output: &output)
        case .purge(let key, let version):
            if let record = store.record(of: key).value, record.isTombstone, record.version == version {
                purge(key, replacing: version, store: &store)
            }
        default:
            break
        }
    }

    /// Stores a record unless the same or a newer one is there, and returns whether one of them is: only then may this
    /// node be counted.
    ///
    /// Stores tell versions without verifying them. So a version that is not older says nothing until the record was read:
    /// damage may have made it up.
    @discardableResult
    mutating func storeIfNewer<Store: ReplicaStore>(_ key: Key, _ record: Record, store: inout Store) -> Bool {
        let held = store.version(of: key)
        switch held {
        case .absent:
            put(key, record, replacing: held, store: &store)
            return true
        case .found(let have) where record.version > have:
            put(key, record, replacing: held, store: &store)
            return true
        case .found, .damaged, .unreadable:
            break
        }
        let kept: Found<Record> = if case .damaged = held { .damaged } else { store.record(of: key) }
        switch kept {
        case .found(let kept):
            if record.version > kept.version { put(key, record, replacing: held, store: &store) }
            return true
        case .absent:
            // It had a version a moment ago, or could not be read.
            put(key, record, replacing: .damaged, store: &store)
            return true
        case .unreadable:
            return false
        case .damaged:
            // A record that is late must not take the place of a newer one of the same leader, which this node was counted
            // for and which may be chosen by that. A later leader knows all that was chosen, without this node's answer.
            if let newest = recent.newest(of: key), newest > record.version, newest.ballot >= state.promised {
                return false
            }
            put(key, record, replacing: .damaged, store: &store)
            return true
        }
    }

    mutating func heard(leader from: NodeID, now: UInt64, output: inout Output) {
        guard from != me else { return }
        heardAt = now
        if candidacy?.phase == .canvassing { candidacy = nil }
        electionAt = now + settings.electionTimeout + random.below(settings.electionTimeout / 2)
        if leader != from {
            leader = from
            lastWishAt = now
            output.statusChanged = true
        }
    }

    func reply(_ message: Message, to: NodeID, _ header: Header, output: inout Output) {
        output.now.append(Outgoing(to: to, header: header, message: message))
    }

    func replyAfterPersist(_ message: Message, to: NodeID, _ header: Header, output: inout Output) {
        output.afterPersist.append(Outgoing(to: to, header: header, message: message))
    }

    func reject(_ reason: Rejection.Reason, to: NodeID, _ header: Header, output: inout Output) {
        let rejection = Rejection(
            reason: reason, promised: state.promised, epoch: state.configuration.epoch, purgeEpoch: state.purgeEpoch)
        reply(.rejected(rejection), to: to, header, output: &output)
    }
}
