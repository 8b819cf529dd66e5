import KVProtocols

/// Rule 7's second half: members beyond the quorum are brought up to date by copies, and compared now and then.
extension PartitionMachine {
    mutating func tickRepair<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard leadership?.isComplete == true, leadership?.closing == nil else { return }
        if leadership?.repair == nil, mayBeginRepair { startRepair(now: now, store: store, output: &output) }
        if let repair = leadership?.repair, now >= repair.sentAt + settings.retransmit {
            leadership?.repair?.sentAt = now
            if repair.asked != nil || repair.askedRound == repair.round { ask(output: &output) }
            copyAgain(repair, now: now, store: store, output: &output)
        }
        continueRepair(now: now, store: &store, output: &output)
        compareDigests(now: now, output: &output)
    }

    /// Says the copies again that the member did not confirm.
    private mutating func copyAgain<Store: ReplicaStore>(
        _ repair: Repair, now: UInt64, store: Store, output: inout Output
    ) {
        guard var peers = leadership?.peers, !repair.copies.isEmpty else { return }
        let member: Electorate.Set = 1 << Electorate.Set(repair.member)
        var round = RepeatRound(peers, among: member, now: now)
        for key in repair.copies.keys.sorted() {
            guard round.open != 0 else { break }
            guard case .found(let record) = store.record(of: key) else {
                // Purged meanwhile, or damaged: the next comparison tells.
                leadership?.repair?.settled(key)
                continue
            }
            leadership?.repair?.sent(key, record)
            send(.copy(key, record), to: electorate.nodes[repair.member], output: &output)
            round.spend(record.value?.count ?? 0, on: member)
        }
        round.end(&peers, now: now, shortest: settings.retransmit)
        leadership?.peers = peers
    }

    private mutating func startRepair<Store: ReplicaStore>(now: UInt64, store: Store, output: inout Output) {
        guard let peers = leadership?.peers else { return }
        let reachable = reachable & ~electorate.bit(of: me)
        guard
            let member = peers.indices.first(where: { index in
                peers[index].hasPromised && peers[index].suspectBuckets != 0
                    && reachable & (1 << Electorate.Set(index)) != 0
            })
        else { return }
        let buckets = peers[member].suspectBuckets
        // From here on this node can tell what it held when it asked, whatever it writes until the answer.
        markPromise(store: store)
        let asked = recent.list(buckets: buckets, atMark: true).map(\.key)
        let repair = Repair(member: member, buckets: buckets, asked: asked, round: newWalkRound(), sentAt: now)
        leadership?.repair = repair
        leadership?.peers[member].suspectBuckets = 0
        output.statusChanged = true
        ask(output: &output)
    }

    /// Asks the member for what comes next, or again.
    private mutating func ask(output: inout Output) {
        guard let repair = leadership?.repair else { return }
        let question: Message
        if let keys = repair.asked {
            question = .recall(round: repair.round, buckets: repair.buckets, asPromised: false, keys: keys)
        } else {
            question = .walk(round: repair.round, buckets: repair.walking, after: repair.after)
            leadership?.repair?.askedRound = repair.round
        }
        send(question, to: electorate.nodes[repair.member], output: &output)
    }

    /// What the member holds of the keys that changed last, there or here, and the digest of all it holds. Whatever
    /// this node wrote since it asked is either among them or not there yet; its own side is taken as it was then.
    mutating func recalledForRepair<Store: ReplicaStore>(
        _ round: UInt64, _ theirs: Recollection?, by index: Int, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        guard let repair = leadership?.repair, repair.round == round, repair.member == index, let asked = repair.asked
        else { return }
        leadership?.repair?.asked = nil
        leadership?.repair?.workedAt = now
        leadership?.repair?.walking = repair.buckets
        if let theirs, let ballot = leadership?.ballot, case let keys = theirs.entries.map(\.key),
            Set(keys).isSuperset(of: asked),
            let ours = recollect(buckets: 0, keys: keys, asOf: ballot, store: store)
        {
            let seed = store.digestSeed
            let rest = Recall.Held(ours).rest(without: keys, seed: seed)
            let theirRest = Recall.Held(theirs).rest(without: keys, seed: seed)
            leadership?.repair?.walking = repair.buckets & rest.differing(from: theirRest)
            leadership?.repair?.listed = theirs.entries.sorted { $1.key < $0.key }
            if theirRest == PartitionDigest(), theirRest != rest {
                // It has nothing else, as a new member: the walk is through the own keys, with those that were asked for.
                leadership?.repair?.isExhausted = true
                leadership?.repair?.walking = repair.buckets
                leadership?.repair?.listed.removeAll { $0.version == nil }
            }
        }
        continueRepair(now: now, store: &store, output: &output)
    }

    /// Compares what changed last, as much at a time as a page of a walk.
    private mutating func repairListed<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        var proposed = 0
        while leadership?.repair?.isFull(settings.repairWindow) == false, proposed <= Repair.largestBytes,
            let entry = leadership?.repair?.listed.popLast()
        {
            guard store.version(of: entry.key).known != entry.version else { continue }
            proposed += repairKey(entry.key, their: entry.version, now: now, store: &store, output: &output)
        }
    }

    mutating func walkedForRepair<Store: ReplicaStore>(
        _ round: UInt64, _ theirs: WalkPage, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let repair = leadership?.repair, repair.round == round, repair.member == index, !repair.isWalked,
            repair.asked == nil, repair.listed.isEmpty
        else { return }
        leadership?.repair?.workedAt = now
        comparePage(theirs, now: now, store: &store, output: &output)
        continueRepair(now: now, store: &store, output: &output)
    }

    /// Sends the member what it lacks of the next page, as far as the window lets.
    private mutating func comparePage<Store: ReplicaStore>(
        _ theirs: WalkPage, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let walking = leadership?.repair?.walking,
            let ours = store.walk(buckets: walking, after: leadership?.repair?.after)
        else { return }
        let reach = [ours.next, theirs.next].compactMap { $0 }.min()
        var horizon = reach
        var proposed = 0
        for (key, own, their) in Self.pair(ours.entries, theirs.entries, upTo: reach) where own != their {
            proposed += repairKey(key, their: their, now: now, store: &store, output: &output)
            if leadership?.repair?.isFull(settings.repairWindow) == true || proposed > Repair.largestBytes {
                horizon = key
                break
            }
        }
        let isConsumed = theirs.entries.last.map { last in horizon.map { last.key <= $0 } ?? true } ?? true
        if theirs.next == nil, isConsumed { leadership?.repair?.isExhausted = true }
        leadership?.repair?.after = horizon
        leadership?.repair?.isWalked = horizon == nil
        let nextRound = newWalkRound()
        leadership?.repair?.round = nextRound
        leadership?.repair?.sentAt = now
    }

    private static func pair(
        _ ours: [WalkPage.Entry], _ theirs: [WalkPage.Entry], upTo horizon: Key?
    ) -> [(Key, Version?, Version?)] {
        var result: [(Key, Version?, Version?)] = []
        var left = ours[...]
        var right = theirs[...]
        while let key = [left.first?.key, right.first?.key].compactMap({ $0 }).min() {
            if let horizon, horizon < key { break }
            let own = left.first?.key == key ? left.popFirst()?.version : nil
            let their = right.first?.key == key ? right.popFirst()?.version : nil
            result.append((key, own, their))
        }
        return result
    }

    /// Sends the member what it lacks; what it alone has was never chosen and is written over. Returns the
    /// bytes of the value that was proposed for that.
    private mutating func repairKey<Store: ReplicaStore>(
        _ key: Key, their: Version?, now: UInt64, store: inout Store, output: inout Output
    ) -> Int {
        guard let member = leadership?.repair?.member, leadership?.newestInFlight[key] == nil else { return 0 }
        let own: Record?
        switch store.record(of: key) {
        case .found(let record): own = record
        case .absent: own = nil
        case .unreadable:
            suspect(key, of: 1 << Electorate.Set(member))
            return 0
        case .damaged:
            damaged(key, now: now, store: &store, output: &output)
            suspect(key, of: 1 << Electorate.Set(member))
            return 0
        }
        let theirVersion = their ?? .zero
        if let own, own.version > theirVersion {
            leadership?.repair?.sent(key, own)
            send(.copy(key, own), to: electorate.nodes[member], output: &output)
            return 0
        }
        // The member alone has it, or has it newer: it is not chosen, or a purge was lost on its way there; or what it
        // has is damaged, and the leader has nothing.
        guard own == nil || theirVersion > own?.version ?? .zero else { return 0 }
        propose(
            key, value: own?.value, expiresAt: own?.expiresAt ?? 0, now: now, store: &store, output: &output)
        return own?.value?.count ?? 0
    }

    /// A copy arrived at the member under repair.
    mutating func repaired<Store: ReplicaStore>(
        _ key: Key, _ version: Version, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.repair?.member == index, leadership?.repair?.copies[key]?.version == version
        else { return }
        leadership?.repair?.settled(key)
        // It works: what it owes is on its way, and not to be said again yet.
        leadership?.repair?.sentAt = now
        leadership?.repair?.workedAt = now
        continueRepair(now: now, store: &store, output: &output)
    }

    private mutating func continueRepair<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.repair?.isHalfEmpty(settings.repairWindow) == true else { return }
        repairListed(now: now, store: &store, output: &output)
        guard let repair = leadership?.repair, repair.asked == nil, repair.listed.isEmpty else { return }
        if !repair.isWalked, repair.walking != 0 {
            if repair.isExhausted, !repair.copies.isEmpty {
                comparePage(WalkPage(entries: [], next: nil), now: now, store: &store, output: &output)
            } else if repair.askedRound != repair.round {
                // Also where nothing differs: one page for each answer leaves time for other work.
                ask(output: &output)
            }
        } else if repair.copies.isEmpty {
            leadership?.repair = nil
            output.statusChanged = true
        }
    }

    // MARK: - Comparing in quiet times

    /// Asks the others for their digests, now and then, when nothing is on its way that could make them differ.
    private mutating func compareDigests(now: UInt64, output: inout Output) {
        guard isQuiet, let leadership, now >= leadership.comparedAt + 16 * settings.electionTimeout else { return }
        self.leadership?.comparedAt = now
        sendToOthers(.digest(round: leadership.nextSequence), output: &output)
    }

    private var isQuiet: Bool {
        guard let leadership else { return false }
        return leadership.head == leadership.flights.count && leadership.copies.isEmpty && leadership.repair == nil
            && leadership.isComplete
    }

    mutating func digested<Store: ReplicaStore>(
        _ round: UInt64, _ digest: PartitionDigest, by index: Int, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        guard isQuiet, leadership?.nextSequence == round, leadership?.peers[index].hasPromised == true else { return }
        leadership?.peers[index].suspectBuckets |= store.digest.differing(from: digest)
    }
}
