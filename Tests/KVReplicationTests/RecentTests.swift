import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// A leader change, and the repair of a member, look only at what was on its way.
@Suite struct RecentTests {
    /// What crossed the links, by kind.
    final class Traffic {
        var recalls = 0
        var recalledEntries = 0
        var pages = 0
        var pageEntries = 0

        /// Counts, and lets everything pass but what `loses` says.
        func watch(_ script: Script, losing: @escaping (Script.Parcel) -> Bool = { _ in false }) {
            script.loses = { [self] parcel in
                if losing(parcel) { return true }
                switch parcel.outgoing.message {
                case .recall: recalls += 1
                case .recalled(_, let answer): recalledEntries += answer?.entries.count ?? 0
                case .walked(_, let page):
                    pages += 1
                    pageEntries += page.entries.count
                default: break
                }
                return false
            }
        }
    }

    static func key(_ number: Int) -> Key { Key(unchecked: Array("key\(number)".utf8)) }

    /// A cluster that holds `count` keys, led by node 1.
    static func filled(_ count: Int, _ script: Script = Script()) -> Script {
        script.elect()
        for number in 0..<count { script.ask(.put(key(number), "old")) }
        script.run(milliseconds: 400)
        return script
    }

    /// The leader writes these keys, each of which reaches only one of `reached`, and dies.
    static func die(_ script: Script, writing keys: [Key], reaching reached: [UInt32] = [2]) {
        for (place, key) in keys.enumerated() {
            let only = NodeID(reached[place % reached.count])
            script.loses = {
                if case .accept = $0.outgoing.message { $0.outgoing.to != only } else { false }
            }
            _ = script.ask(.put(key, "new"), at: NodeID(1))
            script.settle()
        }
        script.loses = { _ in false }
        kill(script, 1)
    }

    static func kill(_ script: Script, _ number: UInt32) {
        script.crash(NodeID(number))
        for node in script.nodes where node != NodeID(number) { script.step(node, .peerLost(NodeID(number))) }
    }

    static func revive(_ script: Script, _ number: UInt32) {
        script.start(NodeID(number))
        for node in script.nodes where node != NodeID(number) {
            script.step(node, .peerBack(NodeID(number)))
            script.step(NodeID(number), .peerBack(node))
        }
    }

    /// Everybody that runs holds the same versions of these keys.
    static func expectEqual(_ script: Script, _ keys: [Key], sourceLocation: SourceLocation = #_sourceLocation) {
        for key in keys {
            let versions = Set(script.nodes.map { script.record(key, on: $0.rawValue)?.version })
            #expect(versions.count == 1, "\(key): \(versions)", sourceLocation: sourceLocation)
        }
    }

    // MARK: - How much is remembered

    @Test func whatIsRememberedOfAllPartitionsTogetherIsBounded() {
        for partitions in [1, 4, 64, 100, 256, 1_024] {
            let each = MachineSettings(partitions: partitions).recentChanges
            #expect(each >= 128 && each <= 2_048)
            #expect(each == 128 || each * partitions <= 1 << 17, "\(partitions)")
        }
        // One percent of ten million keys is 1,563 in each of 64 partitions.
        #expect(MachineSettings(partitions: 64).recentChanges == 2_048)
    }

    // MARK: - Leader changes

    @Test(arguments: [200, 800]) func aLeaderChangeCostsWhatWasInFlightNotWhatIsHeld(count: Int) {
        var settings = MachineSettings()
        settings.recentChanges = 64
        let script = Self.filled(count, Script(settings: settings))
        let written = (0..<5).map { Self.key($0 * 31) }
        Self.die(script, writing: written)
        let traffic = Traffic()
        traffic.watch(script)
        script.run(milliseconds: 600)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.pages == 0)
        #expect(traffic.recalls == 1)
        // Of the 64 changes remembered, those in the buckets of five keys.
        #expect(traffic.recalledEntries >= 5)
        #expect(traffic.recalledEntries <= 20)
        #expect(script.ask(.get(written[3]))?.text == "new")
        #expect(script.ask(.get(Self.key(1)))?.text == "old")
        Self.expectEqual(script, (0..<count).map(Self.key))
    }

    @Test func withManyParticipantsASecondRoundFillsTheGaps() throws {
        let policy = try ReplicationPolicy(replicas: 5, write: 3, read: 3)
        var settings = MachineSettings()
        settings.recentChanges = 16
        let script = Self.filled(60, Script(nodes: 5, members: [1, 2, 3, 4, 5], policy: policy, settings: settings))
        let written = (0..<8).map { Self.key($0) }
        Self.die(script, writing: written, reaching: [2, 3, 4, 5])
        let traffic = Traffic()
        traffic.watch(script)
        script.run(milliseconds: 600)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.pages == 0)
        #expect(traffic.recalls > 3)
        // What reached the new leader stays; of the others it depends on who answers first, but all hold the same.
        for key in [written[0], written[4]] { #expect(script.ask(.get(key))?.text == "new") }
        script.run(milliseconds: 2_000)
        Self.expectEqual(script, (0..<60).map(Self.key))
    }

    @Test func whatIsBeyondTheRecentChangesIsWalked() {
        var settings = MachineSettings()
        settings.recentChanges = 2
        let script = Self.filled(40, Script(settings: settings))
        let written = (0..<10).map { Self.key($0) }
        Self.die(script, writing: written)
        let traffic = Traffic()
        traffic.watch(script)
        script.run(milliseconds: 900)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.recalls > 0)
        #expect(traffic.pages > 0)
        for key in written { #expect(script.ask(.get(key))?.text == "new") }
        Self.expectEqual(script, (0..<40).map(Self.key))
    }

    @Test func aWholeClusterThatWasKilledRemembersFromItsJournals() {
        let script = Self.filled(100)
        let written = (0..<4).map { Self.key($0) }
        Self.die(script, writing: written)
        for node in [2, 3] as [UInt32] { script.crash(NodeID(node)) }
        let traffic = Traffic()
        traffic.watch(script)
        for node in [1, 2, 3] as [UInt32] { script.start(NodeID(node)) }
        script.run(milliseconds: 1_500)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.pages == 0)
        for key in written { #expect(script.ask(.get(key))?.text == "new") }
        Self.expectEqual(script, (0..<100).map(Self.key))
    }

    @Test func writesUnderTheNewBallotDoNotDisturbTheComparison() {
        let script = Self.filled(60)
        let written = (0..<4).map { Self.key($0) }
        Self.die(script, writing: written)
        let traffic = Traffic()
        var kept: [Script.Parcel] = []
        traffic.watch(script) { parcel in
            guard case .recalled = parcel.outgoing.message else { return false }
            kept.append(parcel)
            return true
        }
        script.run(milliseconds: 200)
        #expect(kept.count >= 1)
        // Written while the answer is on its way: a key that differs, one that doesn't, one that is new.
        for key in [written[0], Self.key(50), Key(unchecked: Array("other".utf8))] {
            #expect(script.ask(.put(key, "newest"))?.version != nil)
        }
        traffic.watch(script)
        // The first answer, late and twice.
        for parcel in [kept[0], kept[0]] { script.deliver(parcel) }
        script.settle()
        script.run(milliseconds: 400)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.pages == 0)
        #expect(script.ask(.get(written[0]))?.text == "newest")
        #expect(script.ask(.get(Self.key(50)))?.text == "newest")
        #expect(script.ask(.get(written[1]))?.text == "new")
        Self.expectEqual(script, (0..<60).map(Self.key))
    }

    @Test func aQuestionAskedLateIsAnsweredAsOfThePromise() {
        var settings = MachineSettings()
        settings.recentChanges = 16
        let script = Self.filled(60, Script(settings: settings))
        let written = (0..<4).map { Self.key($0) }
        Self.die(script, writing: written)
        let traffic = Traffic()
        traffic.watch(script) { if case .recall = $0.outgoing.message { true } else { false } }
        script.run(milliseconds: 200)
        // The first of them only the new leader remembers; the other member has it as changed since.
        for number in [0] + Array(40..<60) { script.ask(.put(Self.key(number), "newest")) }
        traffic.watch(script)
        script.run(milliseconds: 400)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.recalls == 1)
        #expect(traffic.pages == 0)
        #expect(script.ask(.get(written[1]))?.text == "new")
        #expect(script.ask(.get(Self.key(40)))?.text == "newest")
        Self.expectEqual(script, (0..<60).map(Self.key))
    }

    @Test func aMemberThatForgotThePromiseIsWalked() {
        let script = Self.filled(30)
        let written = (0..<4).map { Self.key($0) }
        Self.die(script, writing: written)
        let traffic = Traffic()
        traffic.watch(script) { if case .recall = $0.outgoing.message { true } else { false } }
        script.run(milliseconds: 200)
        #expect(script.leader == NodeID(2))
        script.crash(NodeID(3))
        script.start(NodeID(3))
        traffic.watch(script)
        script.run(milliseconds: 900)
        #expect(script.machines[NodeID(2)]?.isSynced == true)
        #expect(traffic.recalls > 0)
        #expect(traffic.pages > 0)
        for key in written { #expect(script.ask(.get(key))?.text == "new") }
        Self.expectEqual(script, (0..<30).map(Self.key))
    }

    @Test func tooManyWritesSinceThePromiseEndInAWalk() {
        var settings = MachineSettings()
        settings.recentChanges = 8
        let script = Self.filled(30, Script(settings: settings))
        let written = (0..<4).map { Self.key($0) }
        Self.die(script, writing: written)
        let traffic = Traffic()
        traffic.watch(script) { if case .recall = $0.outgoing.message { true } else { false } }
        script.run(milliseconds: 200)
        for number in 0..<40 { script.ask(.put(Self.key(number % 20 + 10), "newest")) }
        traffic.watch(script)
        script.run(milliseconds: 900)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.pages > 0)
        for key in written { #expect(script.ask(.get(key))?.text == "new") }
        Self.expectEqual(script, (0..<30).map(Self.key))
    }

    @Test(arguments: [true, false]) func aDamagedRecordAmongThemIsNeitherPresentNorAbsent(wholly: Bool) {
        let script = Self.filled(30)
        let written = (0..<4).map { Self.key($0) }
        Self.die(script, writing: written)
        script.stores[NodeID(3)]?.damage(Self.key(1), wholly: wholly)
        script.stores[NodeID(2)]?.damage(Self.key(25), wholly: wholly)
        script.run(milliseconds: 600)
        Self.revive(script, 1)
        script.run(milliseconds: 4_000)
        for number in 0..<4 { #expect(script.ask(.get(Self.key(number)))?.text == "new") }
        #expect(script.ask(.get(Self.key(25)))?.text == "old")
        script.run(milliseconds: 15_000)
        Self.expectEqual(script, (0..<24).map(Self.key))
    }

    @Test func aPurgeThatOneMemberMissedIsSettled() {
        let script = Self.filled(30)
        script.ask(.delete(Self.key(7), .none))
        // The purge never reaches node 2, which leads next.
        script.loses = { if case .purge = $0.outgoing.message { $0.outgoing.to == NodeID(2) } else { false } }
        script.run(milliseconds: 3_000)
        #expect(script.record(Self.key(7), on: 1) == nil)
        #expect(script.record(Self.key(7), on: 2)?.isTombstone == true)
        Self.kill(script, 1)
        let traffic = Traffic()
        traffic.watch(script)
        script.run(milliseconds: 900)
        #expect(script.leader == NodeID(2))
        #expect(script.machines[NodeID(2)]?.isSynced == true)
        #expect(traffic.pages == 0)
        #expect(script.ask(.get(Self.key(7))) == .absent)
        Self.expectEqual(script, (0..<30).map(Self.key))
    }

    @Test func lostQuestionsAndAnswersAreRepeated() {
        let script = Self.filled(40)
        let written = (0..<4).map { Self.key($0) }
        Self.die(script, writing: written)
        let traffic = Traffic()
        var lost = 0
        traffic.watch(script) { parcel in
            switch parcel.outgoing.message {
            case .recall where lost < 2, .recalled where lost < 4:
                lost += 1
                return true
            default: return false
            }
        }
        script.run(milliseconds: 2_500)
        #expect(lost == 4)
        #expect(script.leader.map { script.machines[$0]?.isSynced } == true)
        #expect(traffic.pages == 0)
        for key in written { #expect(script.ask(.get(key))?.text == "new") }
    }

    // MARK: - Repair

    @Test func aMemberThatMissedAFewWritesIsNotWalked() {
        var settings = MachineSettings()
        settings.maximumTail = 0
        let script = Self.filled(80, Script(settings: settings))
        Self.kill(script, 3)
        let missed = (10..<16).map { Self.key($0) }
        for key in missed { script.ask(.put(key, "new")) }
        let traffic = Traffic()
        traffic.watch(script)
        Self.revive(script, 3)
        // Writes go on meanwhile.
        for number in 0..<60 {
            script.ask(.put(Self.key(40 + number % 30), "newest"))
            script.run(milliseconds: 20)
        }
        script.run(milliseconds: 600)
        #expect(script.machines[NodeID(1)]?.lagging == [])
        #expect(traffic.recalls >= 1)
        #expect(traffic.pages == 0)
        Self.expectEqual(script, (0..<80).map(Self.key))
    }

    /// What it changed last itself is compared as well: so many keys can be asked about as two remember at most.
    @Test func aMemberThatMissedAsManyAsAreRememberedIsNotWalked() {
        var settings = MachineSettings(partitions: 64)
        settings.maximumTail = 0
        let remembered = settings.recentChanges
        let script = Self.filled(2 * remembered, Script(settings: settings))
        Self.kill(script, 3)
        for number in 0..<remembered - 100 { script.ask(.put(Self.key(number), "new")) }
        let traffic = Traffic()
        traffic.watch(script)
        Self.revive(script, 3)
        script.run(milliseconds: 3_000)
        #expect(script.machines[NodeID(1)]?.lagging == [])
        #expect(traffic.recalledEntries > 3 * remembered / 2)
        #expect(traffic.pages == 0)
        Self.expectEqual(script, (0..<2 * remembered).map(Self.key))
    }

    @Test func aMemberThatMissedMoreIsWalked() {
        var settings = MachineSettings()
        settings.maximumTail = 0
        settings.recentChanges = 4
        let script = Self.filled(40, Script(settings: settings))
        Self.kill(script, 3)
        for number in 0..<20 { script.ask(.put(Self.key(number), "new")) }
        let traffic = Traffic()
        traffic.watch(script)
        Self.revive(script, 3)
        script.run(milliseconds: 3_000)
        #expect(script.machines[NodeID(1)]?.lagging == [])
        #expect(traffic.recalls >= 1)
        #expect(traffic.pages > 0)
        Self.expectEqual(script, (0..<40).map(Self.key))
    }

    // MARK: - Bounds

    @Test func listsOfLongKeysAreBounded() {
        let script = Script()
        script.elect()
        let keys = (0..<600).map { Key(unchecked: Array("\($0)".utf8) + [UInt8](repeating: 97, count: 470)) }
        for key in keys { script.ask(.put(key, "old")) }
        script.isolate(3)
        var longest = 0
        script.loses = { parcel in
            switch parcel.outgoing.message {
            case .recalled(_, let answer):
                longest = max(longest, answer?.entries.reduce(0) { $0 + $1.key.bytes.count + 23 } ?? 0)
            case .recall(_, _, _, let keys):
                longest = max(longest, keys.reduce(0) { $0 + $1.bytes.count + 2 })
            default: break
            }
            return false
        }
        Self.die(script, writing: Array(keys.prefix(5)))
        script.loses = { parcel in
            switch parcel.outgoing.message {
            case .recalled(_, let answer):
                longest = max(longest, answer?.entries.reduce(0) { $0 + $1.key.bytes.count + 23 } ?? 0)
            case .recall(_, _, _, let keys):
                longest = max(longest, keys.reduce(0) { $0 + $1.bytes.count + 2 })
            default: break
            }
            return false
        }
        script.run(milliseconds: 900)
        #expect(longest > 0)
        #expect(longest <= 128 << 10)
        #expect(script.ask(.get(keys[0]))?.text == "new")
    }
}
