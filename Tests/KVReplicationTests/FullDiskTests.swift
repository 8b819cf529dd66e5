import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// A member that can't store keeps others from nothing.
@Suite struct FullDiskTests {
    @Test func aLeaderWhoseDiskIsFullHandsOverAndTakesTheLeadBackLater() {
        let script = Script()
        script.elect()
        #expect(script.ask(.put(x, "a"))?.version != nil)
        script.stuckDisks = [NodeID(1)]
        script.step(NodeID(1), .disk(isFull: true))
        script.run(milliseconds: 2_000)
        #expect(script.leader != nil && script.leader != NodeID(1))
        #expect(script.ask(.put(x, "b"))?.version != nil)
        script.run(milliseconds: 20_000)
        #expect(script.leader != NodeID(1))
        #expect(script.ask(.get(x))?.text == "b")
        script.free(NodeID(1))
        script.step(NodeID(1), .disk(isFull: false))
        script.run(milliseconds: 8_000)
        #expect(script.leader == NodeID(1))
        #expect(script.ask(.get(x))?.text == "b")
    }

    @Test func aLeaderWhoseDiskIsFullKeepsTheLeadThatNobodyElseCanTake() {
        let script = Script()
        script.elect()
        #expect(script.ask(.put(x, "a"))?.version != nil)
        script.crash(NodeID(2))
        script.step(NodeID(1), .disk(isFull: true))
        script.loses = { if case .handOver = $0.outgoing.message { true } else { false } }
        script.run(milliseconds: 10_000)
        #expect(script.leader != nil)
        #expect(script.ask(.get(x))?.text == "a")
    }

    /// The others are no quorum without the one whose disk is full: if it gave the lead away, nobody could take it.
    @Test(arguments: [true, false]) func aLeaderWhoseDiskIsFullKeepsReadsGoingWhileAnotherMemberIsAway(isNoticed: Bool)
    {
        let script = Script()
        script.elect()
        #expect(script.ask(.put(x, "a"))?.version != nil)
        script.crash(NodeID(2))
        if isNoticed { for node in script.nodes { script.step(node, .peerLost(NodeID(2))) } }
        script.stuckDisks = [NodeID(1)]
        script.step(NodeID(1), .disk(isFull: true))
        for _ in 0..<20 {
            script.run(milliseconds: 500)
            #expect(script.leader == NodeID(1))
            #expect(script.ask(.get(x))?.text == "a")
        }
        script.start(NodeID(2))
        for node in script.nodes { script.step(node, .peerBack(NodeID(2))) }
        script.run(milliseconds: 4_000)
        #expect(script.leader != nil && script.leader != NodeID(1))
        #expect(script.ask(.put(x, "b"))?.version != nil)
    }

    /// What waits for a disk must not grow while the disk does not move.
    @Test func aLeaderWhoseDiskIsStuckAsksItselfForAPageOnce() {
        var settings = MachineSettings()
        settings.recentChanges = 0
        let script = Script(settings: settings)
        script.elect()
        script.ask(.put(x, "old"))
        script.isolate(1)
        _ = script.ask(.put(x, "new"), at: NodeID(1))
        script.settle()
        script.crash(NodeID(1))
        script.start(NodeID(1))
        script.loses = { if case .recalled = $0.outgoing.message { true } else { false } }
        script.run(milliseconds: 3_000)
        #expect(script.leader == NodeID(1) && script.machines[NodeID(1)]?.isSynced == false)
        script.stuckDisks = [NodeID(1)]
        script.loses = { if case .walked = $0.outgoing.message { true } else { false } }
        script.run(milliseconds: 5_000)
        let pages = (script.held[NodeID(1)] ?? []).filter {
            if case .walked = $0.message { true } else { false }
        }
        #expect(pages.count == 1)
        script.loses = { _ in false }
        script.free(NodeID(1))
        script.run(milliseconds: 2_000)
        #expect(script.machines[NodeID(1)]?.isSynced == true)
    }

    @Test func anOfferOfTheLeadThatComesLateIsIgnored() {
        let script = Script()
        script.elect()
        var offer: Script.Parcel?
        script.loses = { parcel in
            if case .handOver = parcel.outgoing.message { offer = parcel }
            return false
        }
        script.step(NodeID(1), .disk(isFull: true))
        script.run(milliseconds: 2_000)
        script.step(NodeID(1), .disk(isFull: false))
        script.run(milliseconds: 8_000)
        let ballot = script.machines[NodeID(1)]?.leadingBallot
        #expect(ballot != nil)
        if let offer {
            script.step(offer.outgoing.to, .message(from: offer.from, offer.outgoing.header, offer.outgoing.message))
        }
        script.run(milliseconds: 3_000)
        #expect(offer != nil && script.machines[NodeID(1)]?.leadingBallot == ballot)
    }

    @Test func aFullDiskElsewhereDoesNotKeepTheOthersFromElecting() {
        let script = Script()
        script.elect()
        #expect(script.ask(.put(x, "a"))?.version != nil)
        script.step(NodeID(2), .disk(isFull: true))
        script.crash(NodeID(1))
        script.run(milliseconds: 2_000)
        #expect(script.leader == NodeID(3))
        #expect(script.ask(.get(x))?.text == "a")
    }
}
