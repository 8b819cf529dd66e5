import KVProtocols

/// A leader's way to know every key (rule 7), where the digests of the members that promised differ: first what changed
/// last is compared, then the buckets that differ beyond it are walked, in step.
struct Sync: Sendable {
    /// Indices of the members that walk, this node included.
    let participants: Electorate.Set
    /// In which they differ.
    let buckets: UInt64
    /// What they are asked for first.
    var recall: Recall?
    /// What they said, until it is compared; the last first.
    var listed: [Listed] = []
    var isComparing = false
    /// The buckets in which they differ in other keys than those.
    var walking: UInt64
    var isWalking = false
    /// Numbers the questions, so that an answer to an earlier one can't be taken for one to this.
    var round: UInt64
    var after: Key?
    var pages: [Int: WalkPage] = [:]
    /// The last round for which the own page is on its way to the disk and back: it can't be lost, so it is given once.
    var ownRound: UInt64 = 0
    var sentAt: UInt64
    var isWalked = false
    /// Keys on their way to be known; the walk waits when there are too many.
    var unsettled: Set<Key> = []

    /// A key, and who holds which version of it.
    struct Listed: Sendable {
        let key: Key
        let held: [(Int, Version)]
    }
}

extension PartitionMachine {
    /// Starts as soon as those that promised are enough to prove a record chosen, and nobody reachable is missing; where enough
    /// of them agree, there is nothing to start.
    mutating func startSyncIfPossible<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.isComplete == false, leadership?.sync == nil, let peers = leadership?.peers,
            let since = leadership?.since
        else { return }
        var promised: Electorate.Set = 0
        for (index, peer) in peers.enumerated() where peer.hasPromised { promised |= 1 << Electorate.Set(index) }
        let participants = promised & reachable
        guard electorate.isReadQuorum(participants), electorate.isWriteQuorum(participants) else { return }
        let buckets = disputed(participants, peers)
        guard buckets != 0 else { return completed(now: now, store: &store, output: &output) }
        // A member that answers a moment later is worth the wait: it need not be repaired afterwards.
        guard participants == reachable || now >= since + settings.beacon else { return }
        for index in peers.indices where participants & (1 << Electorate.Set(index)) != 0 {
            // From now on only what the walk itself leaves behind is suspect.
            leadership?.peers[index].suspectBuckets &= ~buckets
        }
        let round = newWalkRound()
        leadership?.sync = Sync(
            participants: participants, buckets: buckets, walking: buckets, round: round, sentAt: now)
        startRecall(now: now, store: &store, output: &output)
    }

    /// The buckets in which fewer than a read and a write quorum of every set agree with this node. In the others whatever it
    /// holds is chosen, and whatever is chosen it holds; who differs there is repaired afterwards.
    private func disputed(_ participants: Electorate.Set, _ peers: [PeerProgress]) -> UInt64 {
        let suspect = peers.reduce(0) { $0 | $1.suspectBuckets }
        var disputed: UInt64 = 0
        for bucket in 0..<UInt64(PartitionDigest.bucketCount) where suspect & (1 << bucket) != 0 {
            var agreeing = participants
            for (index, peer) in peers.enumerated() where peer.suspectBuckets & (1 << bucket) != 0 {
                agreeing &= ~(1 << Electorate.Set(index))
            }
            if !electorate.isReadQuorum(agreeing) || !electorate.isWriteQuorum(agreeing) { disputed |= 1 << bucket }
        }
        return disputed
    }

    mutating func restartSync<Store: ReplicaStore>(
        without node: NodeID, now: UInt64, store: inout Store, output: inout Output
    ) {
        if let repair = leadership?.repair, repair.member == electorate.index(of: node) {
            leadership?.peers[repair.member].suspectBuckets |= repair.buckets
            leadership?.repair = nil
        }
        guard let sync = leadership?.sync, sync.participants & electorate.bit(of: node) != 0 else { return }
        leadership?.sync = nil
        let others = sync.participants & ~electorate.bit(of: me)
        for index in electorate.nodes.indices where others & (1 << Electorate.Set(index)) != 0 {
            leadership?.peers[index].suspectBuckets |= sync.buckets
        }
        startSyncIfPossible(now: now, store: &store, output: &output)
    }

    /// A promise that came after leading began.
    mutating func takeIn<Store: ReplicaStore>(
        _ index: Int, _ digest: PartitionDigest, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.peers[index].hasPromised == false else { return }
        leadership?.peers[index].hasPromised = true
        let differing = leadership?.digestBefore.differing(from: digest) ?? .max
        leadership?.peers[index].suspectBuckets |= differing
        startSyncIfPossible(now: now, store: &store, output: &output)
    }

    mutating func newWalkRound() -> UInt64 {
        lastWalkRound += 1
        return lastWalkRound
    }

    /// Leaves no other way than to look at every key of these buckets.
    mutating func beginWalk<Store: ReplicaStore>(
        _ buckets: UInt64, now: UInt64, store: Store, output: inout Output
    ) {
        leadership?.sync?.recall = nil
        leadership?.sync?.walking = buckets
        leadership?.sync?.isWalking = true
        leadership?.sync?.isWalked = buckets == 0
        let round = newWalkRound()
        leadership?.sync?.round = round
        leadership?.sync?.sentAt = now
        if buckets != 0 { askForPages(store: store, output: &output) }
    }

    private mutating func askForPages<Store: ReplicaStore>(store: Store, output: inout Output) {
        guard let sync = leadership?.sync else { return }
        let question = Message.walk(round: sync.round, buckets: sync.walking, after: sync.after)
        for (index, node) in electorate.nodes.enumerated()
        where sync.participants & (1 << Electorate.Set(index)) != 0 && sync.pages[index] == nil {
            if node == me {
                guard sync.ownRound != sync.round, let page = store.walk(buckets: sync.walking, after: sync.after)
                else { continue }
                leadership?.sync?.ownRound = sync.round
                replyAfterPersist(.walked(round: sync.round, page), to: me, header, output: &output)
            } else {
                send(question, to: node, output: &output)
            }
        }
    }

    mutating func walked<Store: ReplicaStore>(
        _ round: UInt64, _ page: WalkPage, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.sync?.round == round else {
            return walkedForRepair(round, page, by: index, now: now, store: &store, output: &output)
        }
        guard let sync = leadership?.sync, sync.isWalking, !sync.isWalked,
            sync.participants & (1 << Electorate.Set(index)) != 0
        else { return }
        leadership?.sync?.pages[index] = page
        comparePages(now: now, store: &store, output: &output)
    }

    /// When every page is there: compares versions up to where all pages reach, settles what differs, asks for the next.
    private mutating func comparePages<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let sync = leadership?.sync, sync.pages.count == sync.participants.nonzeroBitCount,
            sync.unsettled.count < settings.syncWindow
        else { return }
        let reach = sync.pages.values.compactMap(\.next).min()
        var horizon = reach
        leadership?.sync?.pages = [:]
        for (key, held) in merge(sync.pages, upTo: reach) {
            compare(key, held, among: sync.participants, now: now, store: &store, output: &output)
            if let unsettled = leadership?.sync?.unsettled.count, unsettled >= settings.syncWindow {
                // Enough values are on their way: the rest of the pages is asked for again.
                horizon = key
                break
            }
        }
        guard leadership?.sync != nil else { return }
        leadership?.sync?.after = horizon
        leadership?.sync?.isWalked = horizon == nil
        let round = newWalkRound()
        leadership?.sync?.round = round
        leadership?.sync?.sentAt = now
        if horizon != nil { askForPages(store: store, output: &output) }
        completeIfSettled(now: now, store: &store, output: &output)
    }

    private func merge(_ pages: [Int: WalkPage], upTo horizon: Key?) -> [(Key, [(Int, Version)])] {
        var all: [(key: Key, index: Int, version: Version)] = []
        for index in pages.keys.sorted() {
            for entry in pages[index]?.entries ?? [] {
                if let horizon, horizon < entry.key { break }
                all.append((entry.key, index, entry.version))
            }
        }
        all.sort { $0.key != $1.key ? $0.key < $1.key : $0.index < $1.index }
        var merged: [(Key, [(Int, Version)])] = []
        for (key, index, version) in all {
            if merged.last?.0 == key {
                merged[merged.count - 1].1.append((index, version))
            } else {
                merged.append((key, [(index, version)]))
            }
        }
        return merged
    }

    /// Rule 3 on versions alone. The value comes from the own store when that has the newest, otherwise by a query.
    mutating func compare<Store: ReplicaStore>(
        _ key: Key, _ held: [(Int, Version)], among participants: Electorate.Set, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        guard let best = held.map(\.1).max(), leadership?.known.contains(key) == false else { return }
        if leadership?.newestInFlight[key] != nil {
            leadership?.sync?.unsettled.insert(key)
            return
        }
        var holders: Electorate.Set = 0
        for (index, version) in held where version == best { holders |= 1 << Electorate.Set(index) }
        // A damaged record is neither present nor absent: only those that can answer for theirs decide.
        guard !held.contains(where: { $0.1 == .zero }) else {
            leadership?.sync?.unsettled.insert(key)
            return query(key, now: now, store: &store, output: &output)
        }
        let missing = participants & ~holders
        guard missing != 0 else { return }  // the same everywhere, and everywhere is enough
        if holders & electorate.bit(of: me) != 0, electorate.isWriteQuorum(holders) {
            // Chosen, and here: nothing need be read to know it. Those that lack it are brought up to date afterwards.
            return suspect(key, of: electorate.everyone & ~holders)
        }
        leadership?.sync?.unsettled.insert(key)
        if case .found(let own) = store.record(of: key), own.version == best {
            settle(key, own, holders: holders, now: now, store: &store, output: &output)
        } else {
            query(key, now: now, store: &store, output: &output)
        }
    }

    mutating func settledInSync<Store: ReplicaStore>(
        _ key: Key, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.sync != nil, leadership?.sync?.unsettled.remove(key) != nil else { return }
        guard leadership?.sync?.isComparing == false else { return }
        compareListed(now: now, store: &store, output: &output)
        comparePages(now: now, store: &store, output: &output)
        completeIfSettled(now: now, store: &store, output: &output)
    }

    mutating func completeIfSettled<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let sync = leadership?.sync, sync.isWalked, !sync.isComparing, sync.unsettled.isEmpty else { return }
        leadership?.sync = nil
        // Whoever walked holds the same now, but for what `suspect` noted on the way.
        completed(now: now, store: &store, output: &output)
    }

    private mutating func completed<Store: ReplicaStore>(
        now: UInt64, store: inout Store, output: inout Output
    ) {
        guard leadership?.isComplete == false else { return }
        leadership?.isComplete = true
        leadership?.known = []
        output.statusChanged = true
        releaseBarriers(now: now, store: &store, output: &output)
    }

    mutating func tickSync<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard let sync = leadership?.sync else { return }
        if !sync.isWalked, now >= sync.sentAt + settings.retransmit {
            leadership?.sync?.sentAt = now
            askForRecollections(output: &output)
            if sync.isWalking { askForPages(store: store, output: &output) }
        }
        guard now >= sync.sentAt + settings.retransmit || sync.isWalked else { return }
        // A key whose settling was given up, by a refused write or a lost query, is asked for again.
        for key in sync.unsettled.sorted().prefix(settings.syncWindow)
        where leadership?.newestInFlight[key] == nil && leadership?.copies[key] == nil {
            query(key, now: now, store: &store, output: &output)
        }
    }
}
