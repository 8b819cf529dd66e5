import KVProtocols

/// The first step of a sync: asking for what changed last, so that only buckets that differ in other keys are walked.
struct Recall: Sendable {
    /// What a participant said so far, by its index.
    struct Held: Sendable {
        let digest: PartitionDigest
        var versions: [Key: Version?]
    }

    var held: [Int: Held]
    /// The keys asked of each participant in this round.
    var questions: [Int: [Key]]
    /// Participants that have not answered this round.
    var waiting: Electorate.Set
    /// In the second round, in which each is asked for what only others listed: all that was listed, ascending.
    var listed: [Key]?
}

/// Rule 7 for what was on its way. Every participant tells what it held when it promised, at that moment exactly: from
/// then on only this leader changes anything, and what it changed itself is known or in flight.
extension PartitionMachine {
    mutating func startRecall<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard let sync = leadership?.sync, let me = electorate.index(of: me),
            case let others = sync.participants & ~(1 << Electorate.Set(me)), others != 0,
            let own = recollect(buckets: sync.buckets, keys: [], asOf: leadership?.ballot, store: store)
        else { return beginWalk(leadership?.sync?.buckets ?? 0, now: now, store: store, output: &output) }
        let keys = own.entries.map(\.key)
        var questions: [Int: [Key]] = [:]
        for index in electorate.nodes.indices where others & (1 << Electorate.Set(index)) != 0 {
            questions[index] = keys
        }
        leadership?.sync?.recall = Recall(held: [me: Recall.Held(own)], questions: questions, waiting: others)
        askForRecollections(output: &output)
    }

    func askForRecollections(output: inout Output) {
        guard let sync = leadership?.sync, let recall = sync.recall else { return }
        for (index, node) in electorate.nodes.enumerated()
        where recall.waiting & (1 << Electorate.Set(index)) != 0 {
            let question = Message.recall(
                round: sync.round, buckets: recall.listed == nil ? sync.buckets : 0, asPromised: true,
                keys: recall.questions[index] ?? [])
            send(question, to: node, output: &output)
        }
    }

    mutating func recalled<Store: ReplicaStore>(
        _ round: UInt64, _ answer: Recollection?, by index: Int, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let sync = leadership?.sync, sync.round == round else {
            return recalledForRepair(round, answer, by: index, now: now, store: &store, output: &output)
        }
        guard var recall = sync.recall, recall.waiting & (1 << Electorate.Set(index)) != 0 else { return }
        guard let answer, recall.take(answer, by: index) else {
            // A member that was restarted, or changed a lot since, can't tell any more.
            return beginWalk(sync.buckets, now: now, store: store, output: &output)
        }
        leadership?.sync?.recall = recall
        guard recall.waiting == 0 else { return }
        if let keys = recall.listed {
            subtract(keys, recall, now: now, store: &store, output: &output)
        } else {
            askForTheRest(recall, now: now, store: &store, output: &output)
        }
    }

    /// Asks every participant for the keys that only others listed; with two participants nothing is left to ask.
    private mutating func askForTheRest<Store: ReplicaStore>(
        _ recall: Recall, now: UInt64, store: inout Store, output: inout Output
    ) {
        var recall = recall
        let keys = recall.listable
        recall.listed = keys
        recall.questions = [:]
        for index in recall.held.keys.sorted() {
            let missing = keys.filter { recall.held[index]?.versions.keys.contains($0) == false }
            guard !missing.isEmpty else { continue }
            recall.questions[index] = missing
            recall.waiting |= 1 << Electorate.Set(index)
        }
        if let me = electorate.index(of: me), let missing = recall.questions[me] {
            let own = recollect(buckets: 0, keys: missing, asOf: leadership?.ballot, store: store)
            guard let own, recall.take(own, by: me) else {
                return beginWalk(leadership?.sync?.buckets ?? 0, now: now, store: store, output: &output)
            }
        }
        guard recall.waiting != 0 else { return subtract(keys, recall, now: now, store: &store, output: &output) }
        let round = newWalkRound()
        leadership?.sync?.round = round
        leadership?.sync?.sentAt = now
        leadership?.sync?.recall = recall
        askForRecollections(output: &output)
    }

    /// Every participant's version of every listed key is known: what its digest has beyond them must be equal.
    private mutating func subtract<Store: ReplicaStore>(
        _ keys: [Key], _ recall: Recall, now: UInt64, store: inout Store, output: inout Output
    ) {
        guard let sync = leadership?.sync else { return }
        let members = recall.held.keys.sorted()
        let rests = members.compactMap { recall.held[$0]?.rest(without: keys, seed: store.digestSeed) }
        var differing: UInt64 = 0
        for rest in rests.dropFirst() { differing |= rests[0].differing(from: rest) }
        var listed: [Sync.Listed] = []
        for key in keys where sync.buckets & PartitionDigest.bit(of: key) != 0 {
            let held = members.compactMap { index in
                (recall.held[index]?.versions[key] ?? nil).map { (index, $0) }
            }
            listed.append(Sync.Listed(key: key, held: held))
        }
        leadership?.sync?.recall = nil
        leadership?.sync?.listed = listed.reversed()
        leadership?.sync?.walking = sync.buckets & differing
        compareListed(now: now, store: &store, output: &output)
    }

    /// Settles the listed keys, as many at a time as the window lets; then walks what is left.
    mutating func compareListed<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard let sync = leadership?.sync, !sync.isWalking, sync.recall == nil else { return }
        leadership?.sync?.isComparing = true
        while let unsettled = leadership?.sync?.unsettled.count, unsettled < settings.syncWindow,
            let next = leadership?.sync?.listed.popLast()
        {
            compare(next.key, next.held, among: sync.participants, now: now, store: &store, output: &output)
        }
        leadership?.sync?.isComparing = false
        guard leadership?.sync?.listed.isEmpty == true else { return }
        beginWalk(sync.walking, now: now, store: store, output: &output)
        completeIfSettled(now: now, store: &store, output: &output)
    }
}

extension Recall {
    /// The keys that anybody listed, in ascending order; so many that everybody can be asked for them.
    fileprivate var listable: [Key] {
        var keys: Set<Key> = []
        for content in held.values { keys.formUnion(content.versions.keys) }
        var room = Recollection.maximumBytes
        var kept: [Key] = []
        for key in keys.sorted() {
            room -= Recollection.Entry(key: key, version: nil).cost
            guard room >= 0, kept.count < Recollection.maximumKeys else { break }
            kept.append(key)
        }
        return kept
    }

    /// False when the answer lacks what was asked for, or is from another moment than the one before.
    fileprivate mutating func take(_ answer: Recollection, by index: Int) -> Bool {
        var content = Held(answer)
        if let earlier = held[index] {
            guard earlier.digest == content.digest else { return false }
            content.versions.merge(earlier.versions) { _, earlier in earlier }
        }
        guard questions[index]?.allSatisfy({ content.versions.keys.contains($0) }) != false else { return false }
        held[index] = content
        waiting &= ~(1 << Electorate.Set(index))
        return true
    }
}

extension Recall.Held {
    init(_ recollection: Recollection) {
        digest = recollection.digest
        versions = [:]
        for entry in recollection.entries { versions.updateValue(entry.version, forKey: entry.key) }
    }

    /// The digest of everything held but these keys.
    func rest(without keys: [Key], seed: UInt64) -> PartitionDigest {
        var digest = digest
        for key in keys { digest.update(key, from: versions[key] ?? nil, to: nil, seed: seed) }
        return digest
    }
}
