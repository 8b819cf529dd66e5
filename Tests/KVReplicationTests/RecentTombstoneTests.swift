import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// Tombstones that outlive the leader under which they were written.
@Suite struct RecentTombstoneTests {
    /// Node 1 deletes every key, none is purged, and node 1 dies.
    private func deleted(_ count: Int) -> (Script, [Key]) {
        let script = RecentTests.filled(count)
        let keys = (0..<count).map(RecentTests.key)
        script.loses = { if case .buried = $0.outgoing.message { true } else { false } }
        for key in keys { script.ask(.delete(key, .none)) }
        script.run(milliseconds: 1_000)
        #expect(keys.allSatisfy { script.record($0, on: 2)?.isTombstone == true })
        RecentTests.kill(script, 1)
        script.loses = { _ in false }
        return (script, keys)
    }

    @Test func aLaterLeaderPurgesThem() {
        let (script, keys) = deleted(12)
        script.run(milliseconds: 4_000)
        // Not while a member is missing: it might bring back what was deleted.
        #expect(script.leader == NodeID(2))
        #expect(keys.allSatisfy { script.record($0, on: 2)?.isTombstone == true })
        RecentTests.revive(script, 1)
        script.run(milliseconds: 20_000)
        for node in [1, 2, 3] as [UInt32] { #expect(keys.allSatisfy { script.record($0, on: node) == nil }) }
        for key in keys { #expect(script.ask(.get(key)) == .absent) }
    }

    @Test func moreThanThereIsPlaceForGoInTheEnd() {
        let script = RecentTests.filled(400)
        let keys = (0..<400).map(RecentTests.key)
        for key in keys { script.ask(.delete(key, .none)) }
        script.run(milliseconds: 120_000)
        for node in [1, 2, 3] as [UInt32] { #expect(keys.allSatisfy { script.record($0, on: node) == nil }) }
    }

    @Test func aKeyWrittenAgainStays() {
        let (script, keys) = deleted(12)
        RecentTests.revive(script, 1)
        script.run(milliseconds: 300)
        for key in keys.prefix(6) { script.ask(.put(key, "again")) }
        script.run(milliseconds: 20_000)
        for key in keys.prefix(6) { #expect(script.ask(.get(key))?.text == "again") }
        for key in keys.suffix(6) { #expect(script.record(key, on: 3) == nil) }
    }
}
