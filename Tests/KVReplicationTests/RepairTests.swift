import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// How a leader brings a member up to date that holds nothing.
@Suite struct RepairTests {
    /// How many copies one leader sends to node 3, which confirms none.
    private func copies(window: Int, valueBytes: Int) -> Int {
        var settings = MachineSettings()
        settings.recentChanges = 0
        settings.repairWindow = window
        let script = Script(settings: settings)
        script.elect()
        script.isolate(3)
        let value = String(repeating: "v", count: valueBytes)
        for number in 0..<40 { script.ask(.put(RecentTests.key(number), value)) }
        script.crash(NodeID(3))
        script.stores[NodeID(3)] = SimulatedStore(
            state: PartitionState(
                configuration: Configuration(initial: [1, 2, 3].map { NodeID($0) }),
                promised: .zero, purgeEpoch: 0))
        script.step(NodeID(1), .resign)
        script.start(NodeID(3))
        var sent: [Ballot: Set<Key>] = [:]
        var confirmations: [Script.Parcel] = []
        script.loses = { parcel in
            if case .copy(let key, _) = parcel.outgoing.message, parcel.outgoing.to == NodeID(3) {
                sent[parcel.outgoing.header.ballot, default: []].insert(key)
            }
            guard case .copied = parcel.outgoing.message, parcel.from == NodeID(3) else { return false }
            confirmations.append(parcel)
            return true
        }
        script.run(milliseconds: 3_000)
        let most = sent.values.map(\.count).max() ?? 0
        script.loses = { _ in false }
        for parcel in confirmations { script.deliver(parcel) }
        script.run(milliseconds: 3_000)
        #expect(script.stores[NodeID(3)]?.digest == script.stores[NodeID(1)]?.digest)
        return most
    }

    /// A page has four keys: the member must not wait for the next one while it stores those of the last.
    @Test func theNextKeysAreLookedAtBeforeTheLastCopyIsConfirmed() {
        let most = copies(window: 16, valueBytes: 1)
        #expect(most >= 9 && most <= 20)
    }

    @Test func copiesOnTheirWayAreBoundedByTheirBytes() {
        #expect(copies(window: 512, valueBytes: 1 << 20) <= 8)
    }
}
