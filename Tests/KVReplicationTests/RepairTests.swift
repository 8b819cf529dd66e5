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

    /// What was written while it was away is on its way to it still, up to a bound, and need not be sent twice.
    @Test func aCopyIsNotSentAgainAsAProposal() {
        var settings = MachineSettings()
        settings.maximumTail = 32
        settings.recentChanges = 1_000
        let script = Script(settings: settings)
        script.elect()
        script.isolate(3)
        for number in 0..<800 { script.ask(.put(RecentTests.key(number), "v")) }
        var accepts = 0
        script.loses = { parcel in
            guard case .accept = parcel.outgoing.message, parcel.outgoing.to == NodeID(3) else { return false }
            accepts += 1
            return true
        }
        script.run(milliseconds: 1_000)
        for number in 0..<800 { #expect(script.record(RecentTests.key(number), on: 3) != nil) }
        #expect(script.machines[NodeID(1)]?.lagging == [])
        accepts = 0
        script.run(milliseconds: 5_000)
        #expect(accepts == 0)
    }

    /// It is not among what the member changed last, and the leader has no such key: only a walk finds it, behind what the
    /// member lacks.
    @Test func whatAMemberAloneHoldsIsWrittenOver() throws {
        let script = Script()
        script.elect()
        for number in 0..<30 { script.ask(.put(RecentTests.key(number), "v")) }
        let ballot = try #require(script.machines[NodeID(1)]?.leadingBallot)
        let alone = Key(unchecked: Array("zzz".utf8))
        let record = Record(
            key: alone, version: Version(ballot: ballot, sequence: 1_000), value: Array("never chosen".utf8),
            expiresAt: 0)
        script.stores[NodeID(3)]?.put(alone, record, replacing: .absent)
        for number in 0..<8 {
            let key = RecentTests.key(number)
            if let held = script.record(key, on: 3) { script.stores[NodeID(3)]?.purge(key, replacing: held.version) }
        }
        script.handOver(to: 2)
        #expect(script.leader == NodeID(2), "one of the two that agree")
        script.run(milliseconds: 6_000)
        for node in [2, 3] { #expect(script.stores[NodeID(UInt32(node))]?.digest == script.stores[NodeID(1)]?.digest) }
        #expect(script.record(alone, on: 3)?.value == nil)
        #expect(script.leader.flatMap { script.machines[$0]?.lagging } == [])
    }
}
