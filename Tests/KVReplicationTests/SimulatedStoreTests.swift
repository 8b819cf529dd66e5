import KVProtocols
import KVReplication
import Testing

import KVSimulator

/// The simulator's own judgement of disks: too strict, and it cries wolf; too lax, and it is blind.
@Suite struct SimulatedStoreTests {
    private let key = Key(unchecked: Array("k".utf8))

    private func record(_ sequence: UInt64) -> Record {
        Record(
            key: key, version: Version(ballot: Ballot(counter: 2, node: NodeID(1)), sequence: sequence), value: [1])
    }

    private func store() -> SimulatedStore {
        SimulatedStore(state: PartitionState(configuration: .none, promised: .zero, purgeEpoch: 0))
    }

    /// Found by seeds 10077204 and 10186019 of `membership`: a member that had acknowledged a record, joined anew and got a newer
    /// one was accused of having lied, because one slow sync took all of it.
    @Test func whatOneSyncPutOnTheDiskAndWipedWasThere() {
        var store = store()
        store.put(key, record(1), replacing: .absent)
        store.wipe()
        store.put(key, record(2), replacing: .absent)
        #expect(!store.reached(key, record(1).version))
        store.sync(upTo: 2)
        #expect(store.reached(key, record(1).version))
        #expect(!store.reached(key, record(2).version))
        store.sync(upTo: 3)
        #expect(store.reached(key, record(2).version))
    }

    @Test func whatWasWipedByAnEarlierSyncIsNotThere() {
        var store = store()
        store.put(key, record(1), replacing: .absent)
        store.syncAll()
        store.wipe()
        store.syncAll()
        #expect(store.reached(key, record(1).version), "it was there until amid this sync")
        store.put(Key(unchecked: [1]), record(9), replacing: .absent)
        store.syncAll()
        #expect(!store.reached(key, record(1).version))
    }

    /// Found by seeds 10075775 and 10162393 of `disks`: a spoilt record seemed repaired while the newer one was not on the disk, so
    /// another disk was lost, and then a crash brought the spoilt one back: more than any replication survives.
    @Test func aSpoiltRecordCountsUntilTheNewerOneIsOnTheDisk() {
        var store = store()
        store.put(key, record(1), replacing: .absent)
        store.syncAll()
        store.damage(key, wholly: true)
        store.put(key, record(2), replacing: .damaged)
        #expect(store.isDamaged)
        store.crash(keeping: 0)
        #expect(store.isDamaged)
        store.put(key, record(3), replacing: .damaged)
        store.syncAll()
        #expect(!store.isDamaged)
    }
}
