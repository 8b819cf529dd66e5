import KVProtocols

/// Rule 9: a tombstone goes only when all members of a stable configuration hold exactly it.
extension PartitionMachine {
    private static let maximumBurials = 256

    /// Remembers a tombstone as a candidate; what finds no place is found by a search.
    mutating func buryLater(_ key: Key, _ version: Version, now: UInt64) {
        guard let count = leadership?.burials.count,
            count < Self.maximumBurials || leadership?.burials[key] != nil
        else {
            leadership?.hasMissedTombstones = true
            return
        }
        leadership?.burials[key] = Burial(version: version, askedAt: now)
    }

    /// Looks at a page of the own store for tombstones that outlived the leader that wrote them. Once per leadership,
    /// and again when some found no place: what this leader deletes itself is a candidate without. Slow on purpose.
    mutating func tickTombstoneSearch<Store: ReplicaStore>(now: UInt64, store: Store) {
        guard let leadership, leadership.isComplete, leadership.closing == nil, leadership.repair == nil,
            !state.configuration.isJoint, reachable == electorate.everyone,
            leadership.burials.count <= Self.maximumBurials / 2
        else { return }
        guard var search = leadership.search else {
            guard leadership.hasMissedTombstones else { return }
            self.leadership?.hasMissedTombstones = false
            self.leadership?.search = TombstoneSearch(pageAt: now)
            return
        }
        guard now >= search.pageAt + settings.electionTimeout else { return }
        let page = store.tombstones(after: search.after)
        for entry in page?.entries ?? [] where leadership.burials[entry.key] == nil {
            buryLater(entry.key, entry.version, now: now)
        }
        search.after = page?.next
        search.pageAt = now
        self.leadership?.search = search.after == nil ? nil : search
    }

    mutating func tickBurials<Store: ReplicaStore>(now: UInt64, store: inout Store, output: inout Output) {
        guard let leadership, leadership.isComplete, leadership.closing == nil, !leadership.burials.isEmpty,
            !state.configuration.isJoint, reachable == electorate.everyone,
            now >= leadership.buriedAt + settings.electionTimeout
        else { return }
        self.leadership?.buriedAt = now
        let mine = electorate.bit(of: me)
        var ready: [(Key, Version)] = []
        for key in leadership.burials.keys.sorted() {
            guard let burial = leadership.burials[key] else { continue }
            guard holdsTombstone(key, burial.version, store: store) else {
                self.leadership?.burials[key] = nil
                continue
            }
            if burial.holders | mine == electorate.everyone {
                ready.append((key, burial.version))
            } else {
                sendToOthers(of: ~burial.holders, .buried(key, burial.version), output: &output)
            }
        }
        // Accepts on their way carry the old purge epoch and would be turned away once.
        guard !ready.isEmpty, leadership.unchosen == 0 else { return }
        purge(ready, store: &store, output: &output)
    }

    private func holdsTombstone<Store: ReplicaStore>(_ key: Key, _ version: Version, store: Store) -> Bool {
        guard leadership?.newestInFlight[key] == nil, let record = store.record(of: key).value else { return false }
        return record.isTombstone && record.version == version
    }

    /// The purge epoch is raised, durably, before anyone is told to forget: it fences late duplicates of what is forgotten.
    private mutating func purge<Store: ReplicaStore>(
        _ tombstones: [(Key, Version)], store: inout Store, output: inout Output
    ) {
        state.purgeEpoch += 1
        store.save(state)
        for (key, version) in tombstones {
            leadership?.burials[key] = nil
            purge(key, replacing: version, store: &store)
            for node in electorate.nodes where node != me {
                output.afterPersist.append(Outgoing(to: node, header: header, message: .purge(key, version)))
            }
        }
    }

    mutating func burial<Store: ReplicaStore>(
        _ key: Key, _ version: Version, holds: Bool, by index: Int, now: UInt64, store: inout Store,
        output: inout Output
    ) {
        guard leadership?.burials[key]?.version == version else { return }
        if holds { leadership?.burials[key]?.holders |= 1 << Electorate.Set(index) }
    }
}
