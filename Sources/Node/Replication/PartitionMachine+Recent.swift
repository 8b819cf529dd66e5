import KVProtocols

/// Every change to the store goes through here, so that it is among the recent changes.
extension PartitionMachine {
    mutating func put<Store: ReplicaStore>(
        _ key: Key, _ record: Record, replacing held: Found<Version>, store: inout Store
    ) {
        recent.record(key, from: held.known, to: record.version)
        // Nobody writes an older version over a newer one: such a version was made up by damage, and never counted.
        if case .found(let old) = held, old > record.version {
            store.put(key, record, replacing: .damaged)
        } else {
            store.put(key, record, replacing: held)
        }
    }

    mutating func purge<Store: ReplicaStore>(_ key: Key, replacing version: Version, store: inout Store) {
        recent.record(key, from: version, to: nil)
        store.purge(key, replacing: version)
    }

    mutating func wipe<Store: ReplicaStore>(store: inout Store) {
        recent.wipe()
        store.wipe()
    }

    /// To be called when the promise is raised: from then on only the leader of this ballot changes anything.
    mutating func markPromise<Store: ReplicaStore>(store: Store) {
        recent.makeMark(state.promised, digest: store.digest)
    }

    /// The digest of what this node held when it first promised this ballot; of now when it was restarted since.
    mutating func digestAtPromise<Store: ReplicaStore>(store: Store) -> PartitionDigest {
        if recent.mark?.ballot != state.promised { markPromise(store: store) }
        return recent.mark?.digest ?? store.digest
    }
}
