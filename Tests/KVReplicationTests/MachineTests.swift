import KVProtocols
import KVReplication
import KVSimulator
import Testing

@Suite struct MachineTests {
    @Test func preferredMemberLeadsAndSynces() {
        let script = Script()
        script.elect()
        #expect(script.machines[NodeID(1)]?.isSynced == true)
        #expect(script.machines[NodeID(1)]?.lagging == [])
        #expect(script.machines[NodeID(3)]?.leader == NodeID(1))
    }

    @Test func aLiveLeaderIsNotDisturbed() {
        let script = Script()
        script.elect()
        let ballot = script.machines[NodeID(1)]?.leadingBallot
        // Node 3 hears nothing and canvasses; the others know a live leader.
        script.loses = { $0.outgoing.to == NodeID(3) && $0.from == NodeID(1) }
        script.run(milliseconds: 5_000)
        #expect(script.machines[NodeID(1)]?.leadingBallot == ballot)
    }

    @Test func aWriteIsAnsweredOnceAQuorumIsDurable() {
        let script = Script()
        script.elect()
        script.stuckDisks = [NodeID(1), NodeID(2)]
        let id = script.ask(.put(x, "a"), at: NodeID(1))
        script.settle()
        #expect(script.answers[id] == nil)
        script.free(NodeID(2))
        script.settle()
        #expect(script.answers[id]?.version == Version(ballot: Ballot(counter: 2, node: NodeID(1)), sequence: 1))
    }

    @Test func aMemberThatCanNotStoreIsNotFloodedAndCatchesUp() {
        let script = Script()
        script.elect()
        script.stuckDisks = [NodeID(3)]
        var records = 0
        script.loses = {
            if case .accept = $0.outgoing.message, $0.outgoing.to == NodeID(3) { records += 1 }
            return false
        }
        let keys = (0..<100).map { Key(unchecked: Array("k\($0)".utf8)) }
        for key in keys { #expect(script.ask(.put(key, "a"))?.version != nil) }
        script.run(milliseconds: 60_000)
        // Whoever relies on the other members must hear of it.
        #expect(script.machines[NodeID(1)]?.lagging == [NodeID(3)])
        // Each record once, and then at most a handful every two seconds.
        #expect((100...600).contains(records), "\(records) records were sent to a member that stores none")
        script.free(NodeID(3))
        script.run(milliseconds: 3_000)
        #expect(keys.allSatisfy { script.record($0, on: 3)?.value == Array("a".utf8) })
        #expect(script.leader.flatMap { script.machines[$0]?.lagging } == [])
    }

    @Test func aLeaderWhoseOwnDiskHangsSaysSo() {
        let script = Script()
        script.elect()
        script.stuckDisks = [NodeID(1)]
        #expect(script.ask(.put(x, "a"))?.version != nil, "the others are enough")
        script.run(milliseconds: 100)
        #expect(script.machines[NodeID(1)]?.lagging == [], "a moment behind")
        script.run(milliseconds: 900)
        #expect(script.machines[NodeID(1)]?.lagging == [NodeID(1)])
        script.free(NodeID(1))
        script.run(milliseconds: 100)
        #expect(script.machines[NodeID(1)]?.lagging == [])
    }

    @Test func aMemberAMomentBehindDoesNotLag() {
        let script = Script()
        script.elect()
        // Its disk stalls again and again, as under load; the leader goes on.
        for round in 0..<20 {
            script.stuckDisks = [NodeID(3)]
            for step in 0..<10 {
                #expect(script.ask(.put(x, "\(round) \(step)"))?.version != nil)
                script.run(milliseconds: 40)
                #expect(script.machines[NodeID(1)]?.lagging == [])
            }
            script.free(NodeID(3))
            script.settle()
        }
        #expect(script.record(x, on: 3)?.value == Array("19 9".utf8))
    }

    @Test func aReadWaitsForConfirmationThatFollowsIt() {
        let script = Script()
        script.elect()
        script.ask(.put(x, "a"))
        script.loses = { if case .confirmed = $0.outgoing.message { true } else { false } }
        let id = script.ask(.get(x), at: NodeID(1))
        script.settle()
        #expect(script.answers[id] == nil)
        script.loses = { _ in false }
        script.run(milliseconds: 400)
        #expect(script.answers[id]?.text == "a")
    }

    @Test func aDeposedLeaderAnswersNoRead() {
        let script = Script()
        script.elect()
        script.ask(.put(x, "old"))
        script.isolate(1)
        let id = script.ask(.get(x), at: NodeID(1))
        script.run(milliseconds: 1_300)
        let successor = script.nodes.last { script.machines[$0]?.isLeading == true }
        #expect(successor != nil && successor != NodeID(1))
        let write = script.ask(.put(x, "new"), at: successor ?? NodeID(2))
        script.settle()
        #expect(script.answers[write]?.version != nil)
        #expect(script.answers[id] == nil || script.answers[id]?.isRefused == true)
    }

    @Test func anUnchosenRecordIsWrittenAgainBeforeItIsShown() {
        let script = Script()
        script.elect()
        // Only node 2 gets the record; its leader dies with the write unknown.
        script.loses = { if case .accept = $0.outgoing.message { $0.outgoing.to != NodeID(2) } else { false } }
        script.stuckDisks = [NodeID(1)]
        _ = script.ask(.put(x, "half"), at: NodeID(1))
        script.settle()
        script.loses = { _ in false }
        script.crash(NodeID(1))
        script.run(milliseconds: 3_000)
        let ballot = script.leader.flatMap { script.machines[$0]?.leadingBallot }
        #expect(script.ask(.get(x))?.text == "half")
        #expect(script.record(x, on: 3)?.version.ballot == ballot)
        #expect(script.record(x, on: 2)?.version.ballot == ballot)
    }

    @Test func conditionsAreJudgedAgainstTheNewestProposal() {
        let script = Script()
        script.elect()
        let first = script.ask(.put(x, "1", .absent))?.version
        #expect(first != nil)
        #expect(script.ask(.put(x, "2", .absent)) == .conditionFailed(current: first))
        #expect(script.ask(.put(x, "2", .version([first ?? .zero])))?.version != nil)
        #expect(script.ask(.put(x, "3", .version([first ?? .zero])))?.version == nil)
        #expect(script.ask(.increment(x, by: 40))?.number == 42)
        #expect(script.ask(.delete(x, .present))?.version != nil)
        #expect(script.ask(.delete(x, .present)) == .conditionFailed(current: nil))
        script.ask(.put(y, "word"))
        guard case .notANumber = script.ask(.increment(y, by: 1)) else {
            Issue.record("a word was incremented")
            return
        }
    }

    @Test func whatWasNotProposedIsRefusedAndWhatWasIsUnknown() {
        let script = Script()
        script.elect()
        script.isolate(1)
        let write = script.ask(.put(x, "a"), at: NodeID(1))
        let read = script.ask(.get(y), at: NodeID(1))
        script.step(NodeID(1), .cancel(id: write))
        script.step(NodeID(1), .cancel(id: read))
        #expect(script.answers[write]?.isUnknown == true)
        #expect(script.answers[read] == .refused(.timeout))
        #expect(script.answers[script.ask(.put(x, "b"), at: NodeID(3))] == .refused(.notLeader(leader: NodeID(1))))
    }

    @Test func anExpiredValueIsBuriedBeforeItIsCalledAbsent() {
        let script = Script()
        script.elect()
        script.ask(.put(x, value: [1], expiresAt: script.wall + 10, .none))
        script.wall += 20
        #expect(script.ask(.get(x)) == .absent)
        #expect(script.record(x, on: 1)?.isTombstone == true)
        // A clock that runs behind doesn't bring it back.
        script.wall -= 20
        #expect(script.ask(.get(x)) == .absent)
    }

    @Test func aFailedConditionOnAnExpiredValueBuriesItToo() {
        let script = Script()
        script.elect()
        script.ask(.put(x, value: [1], expiresAt: script.wall + 10, .none))
        script.wall += 20
        #expect(script.ask(.put(x, "2", .present)) == .conditionFailed(current: nil))
        #expect(script.record(x, on: 1)?.isTombstone == true)
    }

    @Test func aBarrierWaitsForWritesBeforeIt() {
        let script = Script()
        script.elect()
        script.loses = { if case .accepted = $0.outgoing.message { $0.from != NodeID(1) } else { false } }
        let write = script.ask(.put(x, "a"), at: NodeID(1))
        let barrier = script.ask(.barrier, at: NodeID(1))
        script.settle()
        #expect(script.answers[barrier] == nil)
        script.loses = { _ in false }
        script.run(milliseconds: 600)
        #expect(script.answers[write]?.version != nil)
        #expect(script.answers[barrier] == .passed)
    }

    /// A listing shows what the leader's store held when its barrier arrived: a leader that has yet to hear of newer
    /// records must not let it pass afterwards.
    @Test func aBarrierIsRefusedUntilEveryKeyIsKnown() {
        let script = Script()
        script.elect()
        script.ask(.put(x, "old"))
        script.isolate(2)
        #expect(script.ask(.put(x, "new"))?.version != nil)
        script.crash(NodeID(1))
        script.loses = {
            switch $0.outgoing.message {
            case .walk, .walked, .recall, .recalled, .query, .known: $0.from != $0.outgoing.to
            default: false
            }
        }
        script.step(NodeID(2), .peerLost(NodeID(1)))
        script.step(NodeID(3), .peerLost(NodeID(1)))
        script.step(NodeID(3), .resign)
        script.run(milliseconds: 500)
        #expect(script.leader == NodeID(2))
        #expect(script.record(x, on: 2)?.value == Array("old".utf8))
        #expect(script.ask(.barrier) == .refused(.electing))
        script.loses = { _ in false }
        script.run(milliseconds: 2_000)
        #expect(script.ask(.barrier) == .passed)
        #expect(script.record(x, on: 2)?.value == Array("new".utf8))
    }

    @Test func aRestartedNodeNeverUsesABallotTwice() {
        let script = Script()
        script.elect()
        let before = script.stores[NodeID(1)]?.state.promised ?? .zero
        script.crash(NodeID(1))
        script.start(NodeID(1))
        script.run(milliseconds: 6_000)
        #expect((script.machines[NodeID(1)]?.leadingBallot ?? .zero) > before)
    }

    @Test func aPromiseIsDurableBeforeItIsSent() {
        let script = Script()
        script.stuckDisks = [NodeID(2), NodeID(3)]
        script.run(milliseconds: 600)
        #expect(script.leader == nil)
        script.free(NodeID(2))
        script.run(milliseconds: 3_000)
        #expect(script.leader != nil)
    }

    @Test func resigningHandsTheLeadToAnotherAtOnce() {
        let script = Script()
        script.elect()
        script.step(NodeID(1), .resign)
        script.settle()
        script.run(milliseconds: 300)
        #expect(script.leader == NodeID(2))
    }

    @Test func thePreferredMemberGetsTheLeadBackOnceInSync() {
        let script = Script()
        script.elect()
        script.crash(NodeID(1))
        for node in [2, 3] as [UInt32] { script.step(NodeID(node), .peerLost(NodeID(1))) }
        script.run(milliseconds: 500)
        #expect(script.leader == NodeID(2))
        script.ask(.put(x, "meanwhile"))
        script.start(NodeID(1))
        for node in [2, 3] as [UInt32] { script.step(NodeID(node), .peerBack(NodeID(1))) }
        script.run(milliseconds: 8_000)
        #expect(script.leader == NodeID(1))
        #expect(script.ask(.get(x))?.text == "meanwhile")
    }
}
