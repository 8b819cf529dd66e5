import KVProtocols

/// Rule 7's second half: members beyond the quorum are brought up to date by copies, and compared now and then.
extension PartitionMachine {
    mutating func tickRepair<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard leadership?.isComplete == true, leadership?.closing == nil else { return }
        if leadership?.repair == nil { startRepair(now: now, output: &output) }
        if let repair = leadership?.repair, now >= repair.sentAt + settings.retransmit {
            leadership?.repair?.sentAt = now
            if !repair.isWalked { askForPage(output: &output) }
            for key in repair.copies.keys.sorted() {
                guard case .found(let record) = store.record(of: key) else {
                    // Purged meanwhile, or damaged: the next comparison tells.
                    leadership?.repair?.copies[key] = nil
                    continue
                }
                leadership?.repair?.copies[key] = record.version
                send(.copy(key, record), to: electorate.nodes[repair.member], output: &output)
            }
        }
        if leadership?.repair?.isWalked == true { continueRepair(output: &output) }
        compareDigests(now: now, output: &output)
    }

    private mutating func startRepair(now: UInt64, output: inout Output) {
        guard let peers = leadership?.peers else { return }
        let reachable = reachable & ~electorate.bit(of: me)
        guard
            let member = peers.indices.first(where: { index in
                peers[index].hasPromised && peers[index].suspectBuckets != 0
                    && reachable & (1 << Electorate.Set(index)) != 0
            })
        else { return }
        let round = newWalkRound()
        leadership?.repair = Repair(
            member: member, buckets: peers[member].suspectBuckets, round: round, sentAt: now)
        leadership?.peers[member].suspectBuckets = 0
        output.statusChanged = true
        askForPage(output: &output)
    }

    private func askForPage(output: inout Output) {
        guard let repair = leadership?.repair else { return }
        send(
            .walk(round: repair.round, buckets: repair.buckets, after: repair.after),
            to: electorate.nodes[repair.member], output: &output)
    }

    mutating func walkedForRepair<Store: ReplicaStore>(
        _ round: UInt64, _ theirs: WalkPage, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let repair = leadership?.repair, repair.round == round, repair.member == index, !repair.isWalked,
            let ours = store.walk(buckets: repair.buckets, after: repair.after)
        else { return }
        let reach = [ours.next, theirs.next].compactMap { $0 }.min()
        var horizon = reach
        var bytes = 0
        for (key, own, their) in Self.pair(ours.entries, theirs.entries, upTo: reach) where own != their {
            bytes += repairKey(key, their: their, now: now, store: &store, output: &output)
            if let copies = leadership?.repair?.copies.count, copies >= settings.syncWindow || bytes > 4 << 20 {
                horizon = key
                break
            }
        }
        leadership?.repair?.after = horizon
        leadership?.repair?.isWalked = horizon == nil
        let nextRound = newWalkRound()
        leadership?.repair?.round = nextRound
        leadership?.repair?.sentAt = now
        continueRepair(output: &output)
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

    /// Sends the member what it lacks; what it alone has was never chosen and is written over. Returns the bytes sent.
    private mutating func repairKey<Store: ReplicaStore>(
        _ key: Key, their: Version?, now: UInt64, store: inout Store, output: inout Output
    ) -> Int {
        guard let member = leadership?.repair?.member, leadership?.newestInFlight[key] == nil else { return 0 }
        let own: Record?
        switch store.record(of: key) {
        case .found(let record): own = record
        case .absent: own = nil
        case .damaged:
            damaged(key, now: now, store: &store, output: &output)
            suspect(key, of: 1 << Electorate.Set(member))
            return 0
        }
        let theirVersion = their ?? .zero
        if let own, own.version > theirVersion {
            leadership?.repair?.copies[key] = own.version
            send(.copy(key, own), to: electorate.nodes[member], output: &output)
            return own.value?.count ?? 0
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
        guard leadership?.repair?.member == index, leadership?.repair?.copies[key] == version else { return }
        leadership?.repair?.copies[key] = nil
        continueRepair(output: &output)
    }

    private mutating func continueRepair(output: inout Output) {
        guard let repair = leadership?.repair, repair.copies.isEmpty else { return }
        if repair.isWalked {
            leadership?.repair = nil
            output.statusChanged = true
        } else {
            askForPage(output: &output)
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
