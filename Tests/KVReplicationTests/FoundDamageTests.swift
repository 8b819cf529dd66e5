import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// A record is found to be damaged although nobody asked for it.
@Suite struct FoundDamageTests {
    private func script(members: [UInt32] = [1, 2, 3]) -> Script {
        let script = Script(nodes: members.count, members: members)
        script.elect()
        #expect(script.ask(.put(x, "kept"))?.version != nil)
        #expect(script.ask(.put(y, "other"))?.version != nil)
        return script
    }

    private func isWhole(_ script: Script, _ node: UInt32) -> Bool {
        script.record(x, on: node)?.value == Array("kept".utf8)
    }

    @Test(arguments: [true, false])
    func `a leader that finds its record damaged gets it from the others at once`(wholly: Bool) throws {
        let script = script()
        let version = try #require(script.record(x, on: 1)?.version)
        script.stores[NodeID(1)]?.damage(x, wholly: wholly)
        #expect(!isWhole(script, 1))
        script.step(NodeID(1), .damaged(x))
        script.settle()
        #expect(isWhole(script, 1))
        #expect(script.record(x, on: 1)?.version == version, "nothing was written anew")
        #expect(script.stores[NodeID(1)]?.digest == script.stores[NodeID(2)]?.digest)
        #expect(script.ask(.get(x))?.text == "kept")
    }

    @Test(arguments: [1, 2] as [UInt32])
    func `what is whole is left alone`(node: UInt32) {
        let script = script()
        script.step(NodeID(node), .damaged(x))
        script.step(NodeID(node), .damaged(Key(unchecked: Array("nothing".utf8))))
        script.step(NodeID(node), .turnEnd)
        #expect(script.bag.isEmpty)
    }

    @Test func `a member that finds its record damaged is brought up to date by its leader's next comparison`() {
        let script = script()
        script.stores[NodeID(2)]?.damage(x, wholly: true)
        script.step(NodeID(2), .damaged(x))
        #expect(script.bag.isEmpty, "a member says nothing by itself")
        script.run(milliseconds: 17 * script.settings.electionTimeout)
        #expect(isWhole(script, 2))
        #expect(script.stores[NodeID(1)]?.digest == script.stores[NodeID(2)]?.digest)
    }

    @Test func `a leader whose others are away waits for them, and serves what is whole meanwhile`() {
        let script = script()
        script.stores[NodeID(1)]?.damage(x, wholly: false)
        script.loses = { $0.outgoing.message.isAboutRecords }
        script.step(NodeID(1), .damaged(x))
        script.run(milliseconds: 500)
        #expect(!isWhole(script, 1))
        #expect(script.ask(.get(y))?.text == "other")
        let waiting = script.ask(.get(x), at: NodeID(1))
        script.settle()
        #expect(script.answers[waiting] == nil, "what is damaged is not shown, and not taken for absent")
        script.loses = { _ in false }
        script.run(milliseconds: 500)
        #expect(isWhole(script, 1))
        #expect(script.answers[waiting]?.text == "kept")
    }

    @Test func `the same damage reported again asks nothing twice`() {
        let script = script()
        script.stores[NodeID(1)]?.damage(x, wholly: false)
        script.step(NodeID(1), .damaged(x))
        let asked = script.bag.count
        #expect(asked == 2)
        script.step(NodeID(1), .damaged(x))
        #expect(script.bag.count == asked)
    }

    @Test func `a record that a write has replaced since is not asked for`() {
        let script = script()
        script.stores[NodeID(1)]?.damage(x, wholly: false)
        _ = script.ask(.put(x, "newer"), at: NodeID(1))
        let sent = script.bag.count
        script.step(NodeID(1), .damaged(x))
        #expect(script.bag.count == sent)
        script.settle()
        #expect(script.ask(.get(x))?.text == "newer")
    }

    @Test func `a leader that lost a record without a trace and resigns gets it back, and nobody loses it`() throws {
        let script = script()
        let version = try #require(script.record(x, on: 1)?.version)
        script.stores[NodeID(1)]?.purge(x, replacing: version)
        script.step(NodeID(1), .resign)
        script.run(milliseconds: 20 * script.settings.electionTimeout)
        for node in [1, 2, 3] as [UInt32] { #expect(isWhole(script, node)) }
        #expect(script.ask(.get(x))?.text == "kept")
    }

    @Test func `alone there is nobody to ask, and the record stays unknown`() {
        let script = script(members: [1])
        script.stores[NodeID(1)]?.damage(x, wholly: false)
        script.step(NodeID(1), .damaged(x))
        script.step(NodeID(1), .turnEnd)
        #expect(script.bag.isEmpty)
    }
}

extension Message {
    /// Questions about single keys, and what follows from them.
    fileprivate var isAboutRecords: Bool {
        switch self {
        case .query, .known, .copy, .copied: true
        default: false
        }
    }
}
