import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// Orders of messages that seeds meet too rarely to be relied on.
@Suite struct RareOrderTests {
    /// Everything by which a new leader comes to know all keys at once: without it each key is asked for by itself.
    private static func isSync(_ parcel: Script.Parcel) -> Bool {
        switch parcel.outgoing.message {
        case .walk, .walked, .recall, .recalled: parcel.from != parcel.outgoing.to
        default: false
        }
    }

    private static func isAccept(_ parcel: Script.Parcel) -> Bool {
        if case .accept = parcel.outgoing.message { true } else { false }
    }

    /// The other members agree that the leader is asked before its own disk has answered, so that its own record, which is
    /// newer than theirs and not chosen, is not among the answers.
    @Test func whatTheLeaderAloneHoldsIsNotShown() {
        let script = Script()
        script.elect()
        script.ask(.put(x, "chosen"))
        #expect(readWhereTheLeaderAloneHoldsANewerOne(script)?.text == "chosen")
    }

    /// The leader writes a record of its own that reaches nobody, is started again, leads, and is asked for it before its
    /// disk has answered.
    private func readWhereTheLeaderAloneHoldsANewerOne(_ script: Script) -> Outcome? {
        script.loses = Self.isAccept
        _ = script.ask(.put(x, "alone"), at: NodeID(1))
        script.settle()
        script.crash(NodeID(1))
        script.loses = Self.isSync
        script.start(NodeID(1))
        script.run(milliseconds: 200)
        #expect(script.leader == NodeID(1))
        #expect(script.record(x, on: 1)?.value == Array("alone".utf8))
        script.stuckDisks = [NodeID(1)]
        let read = script.ask(.get(x), at: NodeID(1))
        script.settle()
        return script.answers[read]
    }

    /// Two leaders leave a record each on their own disks only. Once the older one was shown, the newer one must not come
    /// back: the older one needs a version of its own time, also where it could be copied to both sets of a move.
    @Test func whatIsNotChosenIsWrittenAgainInTheMiddleOfAMove() {
        let script = Script(nodes: 4)
        script.elect()
        let joint = script.machines[NodeID(1)]?.state.configuration.moving(to: [1, 2, 4].map { NodeID($0) })
        guard let joint else {
            Issue.record("no move")
            return
        }
        script.configure(joint, on: [1, 2, 3, 4])
        script.run(milliseconds: 3_000)
        #expect(script.leader == NodeID(1))
        script.loses = Self.isAccept
        _ = script.ask(.put(x, "one"), at: NodeID(1))
        script.settle()
        script.crash(NodeID(1))
        script.handOver(to: 3)
        #expect(script.leader == NodeID(3))
        _ = script.ask(.put(x, "three"), at: NodeID(3))
        script.settle()
        script.crash(NodeID(3))

        script.loses = { _ in false }
        script.start(NodeID(1))
        script.handOver(to: 2)
        script.step(NodeID(2), .peerLost(NodeID(3)))
        #expect(script.leader == NodeID(2))
        #expect(script.ask(.get(x))?.text == "one")
        script.crash(NodeID(2))
        script.start(NodeID(3))
        script.handOver(to: 3)
        script.step(NodeID(3), .peerLost(NodeID(2)))
        #expect(script.leader == NodeID(3))
        #expect(script.ask(.get(x))?.text == "one")
    }

    @Test func confirmationsOfEarlierRoundsDoNotCount() throws {
        let policy = try ReplicationPolicy(replicas: 5, write: 3, read: 3)
        let script = Script(nodes: 5, members: [1, 2, 3, 4, 5], policy: policy)
        script.elect()
        script.ask(.put(x, "old"))
        script.loses = { ($0.from.rawValue <= 2) != ($0.outgoing.to.rawValue <= 2) }
        script.handOver(to: 3)
        let write = script.ask(.put(x, "new"), at: NodeID(3))
        let read = script.ask(.get(x), at: NodeID(1))
        script.settle()
        #expect(script.answers[write]?.version != nil)
        #expect(script.answers[read] == nil)
    }

    @Test func aBarrierWaitsForAConfirmationThatFollowsIt() {
        let script = Script()
        script.elect()
        script.ask(.put(x, "old"))
        var late: [Script.Parcel] = []
        script.loses = { parcel in
            guard case .confirmed = parcel.outgoing.message else { return false }
            late.append(parcel)
            return true
        }
        let early = script.ask(.get(x), at: NodeID(1))
        script.settle()
        script.isolate(1)
        script.handOver(to: 2)
        let write = script.ask(.put(x, "new"), at: NodeID(2))
        script.settle()
        #expect(script.answers[write]?.version != nil)
        let barrier = script.ask(.barrier, at: NodeID(1))
        for parcel in late { script.deliver(parcel) }
        script.settle()
        #expect(script.answers[early]?.text == "old")
        #expect(script.answers[barrier] == nil)
    }

    /// A peer that is broken, or hostile, names numbers that no cluster reaches: one more than those is no number.
    @Test func numbersThatNoClusterReachesAreIgnored() throws {
        let script = Script()
        script.elect()
        let state = try #require(script.machines[NodeID(1)]?.state)
        let highest = Ballot(counter: .max, node: NodeID(2))
        let rejection = Rejection(
            reason: .purgeEpoch, promised: highest, epoch: state.configuration.epoch, purgeEpoch: .max)
        let epoch = state.configuration.epoch
        for (ballot, purgeEpoch) in [(highest, 0), (state.promised, .max), (state.promised, 0)] as [(Ballot, UInt64)] {
            let header = Header(epoch: epoch, ballot: ballot, purgeEpoch: purgeEpoch)
            for message in [
                .canvass(state.configuration, polite: false), .prepare(state.configuration, polite: false),
                .confirm(round: .max), .confirmed(round: .max), .accepted(sequence: .max), .rejected(rejection),
                .handOver,
                .resigned,
            ] as [Message] {
                for node in script.nodes { script.step(node, .message(from: NodeID(2), header, message)) }
            }
        }
        script.crash(NodeID(1))
        script.run(milliseconds: 3_000)
        script.start(NodeID(1))
        script.run(milliseconds: 3_000)
        #expect(script.ask(.put(x, "a"))?.version != nil)
        #expect(script.ask(.delete(x, .none))?.version != nil)
        script.run(milliseconds: 5_000)
        #expect(script.record(x, on: 1) == nil, "the tombstone is purged, under the next purge epoch")
        #expect(script.ask(.put(x, "b"))?.version != nil)
    }

    /// The others hold nothing of a key that the leader, whose disk is slow to answer, alone has: it was never chosen.
    @Test func whatTheLeaderAloneHoldsIsWrittenOverWhereTheOthersHoldNothing() {
        let script = Script()
        script.elect()
        let answer = readWhereTheLeaderAloneHoldsANewerOne(script)
        guard case .absent? = answer else {
            Issue.record("\(String(describing: answer)) instead of nothing")
            return
        }
    }

    /// One member's page ends before a key that the other's page shows: that it is not in the first says nothing.
    @Test func aPageSaysNothingOfWhatLiesBehindItsEnd() {
        var settings = MachineSettings()
        settings.recentChanges = 0
        let script = Script(settings: settings)
        script.elect()
        func key(_ name: String) -> Key { Key(unchecked: Array(name.utf8)) }
        script.ask(.put(key("m"), "old"))
        for number in 0..<8 { script.ask(.put(key("z\(number)"), "same")) }
        script.isolate(1)
        script.handOver(to: 2)
        #expect(script.leader == NodeID(1) && script.machines[NodeID(2)]?.isLeading == true)
        for name in ["a0", "a1", "a2", "a3", "a4", "a5", "m"] {
            let write = script.ask(.put(key(name), "new"), at: NodeID(2))
            script.settle()
            #expect(script.answers[write]?.version != nil)
        }
        for number in [2, 3] as [UInt32] { script.crash(NodeID(number)) }
        script.loses = { _ in false }
        script.start(NodeID(2))
        for node in script.nodes { script.step(node, .peerLost(NodeID(3))) }
        script.run(milliseconds: 3_000)
        #expect(script.leader == NodeID(1))
        #expect(script.ask(.get(key("m")))?.text == "new")
        #expect(script.ask(.get(key("a5")))?.text == "new")
    }

    /// One of the two that hold the newest record can't read it, the other one is away: the older record that the third
    /// one holds must not be taken for the newest.
    @Test func aDamagedRecordHasNoVoteInAWalk() {
        var settings = MachineSettings()
        settings.recentChanges = 0
        let script = Script(settings: settings)
        script.elect()
        script.ask(.put(x, "old"))
        script.isolate(2)
        #expect(script.ask(.put(x, "new"))?.version != nil)
        script.crash(NodeID(3))
        script.stores[NodeID(1)]?.damage(x, wholly: true)
        script.loses = { _ in false }
        script.handOver(to: 2)
        script.step(NodeID(2), .peerLost(NodeID(3)))
        script.run(milliseconds: 1_000)
        #expect(script.leader == NodeID(2))
        script.start(NodeID(3))
        script.step(NodeID(2), .peerBack(NodeID(3)))
        script.run(milliseconds: 2_000)
        #expect(script.ask(.get(x))?.text == "new")
    }
}
