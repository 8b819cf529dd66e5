import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// The checker of long histories must see what is wrong, and nothing where all is well: histories made by hand.
@Suite struct VersionChainTests {
    private func version(_ sequence: UInt64) -> Version {
        Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: sequence)
    }

    private func call(_ id: UInt64, _ operation: Operation, _ from: UInt64, _ to: UInt64?, _ outcome: Outcome?) -> Call
    {
        Call(id: id, operation: operation, invoked: from, returned: to, outcome: outcome)
    }

    private func written(_ sequence: UInt64, _ number: Int64? = nil) -> Outcome {
        .written(version(sequence), acks: 2, required: 2, value: number)
    }

    private func value(_ text: String, _ sequence: UInt64) -> Outcome {
        .value(Record(key: x, version: version(sequence), value: Array(text.utf8)))
    }

    private func findings(_ calls: [Call]) -> [String] { VersionChainChecker(calls).violations }

    private let lost = Outcome.unknown(acked: 1, required: 2)

    @Test func aPlainHistoryIsFine() {
        #expect(
            findings([
                call(1, .put(x, "1"), 0, 10, written(1)), call(2, .get(x), 11, 12, value("1", 1)),
                call(3, .increment(x, by: 2), 13, 14, written(2, 3)),
                call(4, .put(x, "4", .version([version(2)])), 15, 16, written(3)),
                call(5, .delete(x, .none), 17, 18, written(4)), call(6, .get(x), 19, 20, .absent),
                call(7, .put(x, "7", .absent), 21, 22, written(5)),
            ]) == [])
    }

    @Test func aValueWrittenAgainByALeaderIsFine() {
        #expect(
            findings([
                call(1, .put(x, "1"), 0, 10, written(1)), call(2, .get(x), 11, 12, value("1", 5)),
                call(3, .put(x, "3", .version([version(5)])), 13, 14, written(6)),
            ]) == [])
    }

    @Test func aStaleReadIsFound() {
        #expect(
            findings([
                call(1, .put(x, "1"), 0, 10, written(1)), call(2, .put(x, "2"), 11, 20, written(2)),
                call(3, .get(x), 21, 30, value("1", 1)),
            ]).count == 1)
    }

    @Test func aLostWriteIsFound() {
        #expect(findings([call(1, .put(x, "1"), 0, 10, written(1)), call(2, .get(x), 11, 12, .absent)]).count == 1)
    }

    @Test func anAbsenceThatADeleteExplainsIsFine() {
        let put = call(1, .put(x, "1"), 0, 10, written(1))
        let absent = call(3, .get(x), 12, 14, .absent)
        #expect(findings([put, call(2, .delete(x, .none), 11, 20, written(2)), absent]) == [])
        #expect(findings([put, call(2, .delete(x, .none), 11, 20, lost), absent]) == [])
        #expect(findings([put, call(2, .delete(x, .none), 15, 20, written(2)), absent]).count == 1)
    }

    @Test func aDeletedValueThatComesBackIsFound() {
        let calls = [
            call(1, .put(x, "1"), 0, 10, written(1)), call(2, .delete(x, .none), 11, 20, lost),
            call(3, .get(x), 21, 22, .absent), call(4, .get(x), 23, 24, value("1", 1)),
        ]
        #expect(findings(calls).count == 1)
        #expect(findings(Array(calls.dropLast())) == [])
    }

    @Test func anUnknownWriteMayShowOnceOrNever() {
        let unknown = call(1, .put(x, "1"), 0, 5, lost)
        let shown = call(2, .get(x), 11, 12, value("1", 3))
        let replaced = call(3, .put(x, "2"), 13, 14, written(4))
        #expect(findings([unknown, shown, replaced]) == [])
        #expect(findings([unknown, replaced]) == [])
        #expect(findings([unknown, shown, replaced, call(4, .get(x), 15, 16, value("1", 6))]).count == 1)
    }

    @Test func aRefusedWriteThatShowsIsFound() {
        #expect(
            findings([
                call(1, .put(x, "1"), 0, 10, .refused(.timeout)), call(2, .get(x), 11, 12, value("1", 1)),
            ]).count == 1)
    }

    @Test func twoContentsOfOneVersionAreFound() {
        let first = call(1, .put(x, "1"), 0, 10, written(1))
        #expect(findings([first, call(2, .get(x), 5, 12, value("2", 1))]).count == 1)
        #expect(findings([first, call(2, .put(x, "2"), 0, 10, written(1))]).isEmpty == false)
    }

    @Test func aComparisonThatDidNotFollowItsVersionIsFound() {
        let base = call(1, .put(x, "1"), 0, 10, written(1))
        let winner = call(2, .put(x, "2", .version([version(1)])), 11, 20, written(2))
        #expect(findings([base, winner]) == [])
        #expect(findings([base, winner, call(3, .put(x, "3", .version([version(1)])), 11, 20, written(3))]).count == 1)
        #expect(findings([base, call(3, .put(x, "3", .absent), 11, 20, written(3))]).count == 1)
        let failed = call(4, .put(x, "4", .version([version(1)])), 21, 22, .conditionFailed(current: version(1)))
        #expect(findings([base, failed]).count == 1)
    }

    @Test func aLostIncrementIsFound() {
        let first = call(1, .increment(x, by: 1), 0, 10, written(1, 1))
        #expect(findings([first, call(2, .increment(x, by: 1), 0, 10, written(2, 1))]).count == 1)
        #expect(findings([first, call(2, .increment(x, by: 1), 0, 10, written(2, 2))]) == [])
    }

    @Test func aVersionThatGoesBackIsFound() {
        #expect(
            findings([
                call(1, .put(x, "1"), 0, 10, written(5)), call(2, .put(x, "2"), 11, 20, written(4)),
            ]).count == 1)
    }

    @Test func aDeleteThatDidNotNameItsVersionCounts() {
        let deleted = call(2, .delete(x, .none), 11, 20, .written(.zero, acks: 2, required: 2, value: nil))
        let put = call(1, .put(x, "1"), 0, 10, written(1))
        #expect(findings([put, deleted, call(3, .get(x), 21, 22, .absent)]) == [])
        #expect(findings([put, deleted, call(3, .get(x), 21, 22, value("1", 1))]).count == 1)
    }

    @Test func anExpiredValueMayBeGoneButNotComeBack() {
        let put = call(1, .put(x, value: [49], expiresAt: 100, .none), 0, 10, written(1))
        let gone = call(2, .get(x), 11, 12, .absent)
        #expect(findings([put, gone]) == [])
        #expect(findings([put, gone, call(3, .get(x), 13, 14, value("1", 1))]).count == 1)
    }

    /// What the full search calls fine is fine for the chain too, in every history that simulations make.
    @Test func simulatedHistoriesAreFine() {
        for seed in 300..<310 as Range<UInt64> {
            let verdict = HistoryVerdict(Simulation(seed: seed).run().history)
            #expect(verdict.violations.isEmpty)
        }
    }
}
