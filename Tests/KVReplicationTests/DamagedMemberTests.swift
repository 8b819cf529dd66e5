import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// A member is counted only for what it can show.
@Suite struct DamagedMemberTests {
    @Test func aMadeUpVersionIsNotTakenForANewerRecord() {
        let script = Script()
        script.elect()
        script.ask(.put(x, "old"))
        script.stores[NodeID(2)]?.makeUpVersion(of: x)
        script.stuckDisks = [NodeID(3)]
        let id = script.ask(.put(x, "new"), at: NodeID(1))
        script.settle()
        #expect(script.answers[id]?.version != nil)
        #expect(script.record(x, on: 2)?.value == Array("new".utf8))
    }

    @Test func aLateRecordDoesNotReplaceADamagedNewerOne() {
        let script = Script()
        script.elect()
        // Node 3 gets neither; node 2's answer about the first one is lost, the second one is chosen by 1 and 2.
        var accepts = 0
        script.loses = { parcel in
            switch parcel.outgoing.message {
            case .accept: return parcel.outgoing.to == NodeID(3)
            case .accepted(sequence: 1): return parcel.from == NodeID(2)
            default: return false
            }
        }
        let first = script.ask(.put(x, "first"), at: NodeID(1))
        let second = script.ask(.put(x, "second"), at: NodeID(1))
        script.settle()
        #expect(script.answers[second]?.version != nil)
        script.stores[NodeID(2)]?.damage(x, wholly: true)
        script.loses = { parcel in
            if case .accept(_, let record) = parcel.outgoing.message, record.version.sequence == 1 { accepts += 1 }
            return parcel.outgoing.to == NodeID(3)
        }
        script.run(milliseconds: 1_000)
        #expect(accepts == 0, "the replaced proposal was sent again")
        #expect(script.record(x, on: 2).map { $0.value == Array("second".utf8) } ?? true)
        // Whoever has the newer one has nothing older to store: the first is done too.
        #expect(script.answers[first]?.version != nil)
    }

    /// However few changes are remembered for walks.
    @Test(arguments: [512, 0])
    func aMemberThatRemembersANewerVersionStoresNoOlderOneInPlaceOfADamagedRecord(recentChanges: Int) {
        var settings = MachineSettings()
        settings.recentChanges = recentChanges
        let script = Script(settings: settings)
        script.elect()
        var late: Script.Parcel?
        script.loses = { parcel in
            if case .accept = parcel.outgoing.message, parcel.outgoing.to == NodeID(2), late == nil {
                late = parcel
                return true
            }
            return false
        }
        _ = script.ask(.put(x, "first"), at: NodeID(1))
        script.settle()
        _ = script.ask(.put(x, "second"), at: NodeID(1))
        script.settle()
        #expect(script.record(x, on: 2)?.value == Array("second".utf8))
        script.stores[NodeID(2)]?.damage(x, wholly: true)
        script.loses = { _ in true }
        if let late {
            script.step(NodeID(2), .message(from: NodeID(1), late.outgoing.header, late.outgoing.message))
        }
        #expect(script.record(x, on: 2) == nil)
    }

    @Test func aDiskThatIsFullKeepsALoneNodeFromWritingButNotFromReading() {
        let script = Script(nodes: 1, members: [1])
        script.elect()
        #expect(script.ask(.put(x, "a"))?.version != nil)
        script.stuckDisks = [NodeID(1)]
        script.run(milliseconds: 5_000)
        #expect(script.ask(.get(x))?.text == "a")
    }
}
