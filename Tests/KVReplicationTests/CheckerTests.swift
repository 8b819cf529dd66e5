import KVProtocols
import KVReplication
import KVSimulator
import Testing

/// The checker must see what is wrong: histories made by hand.
@Suite struct CheckerTests {
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

    private func verdict(_ calls: [Call]) -> LinearizabilityChecker.Verdict { LinearizabilityChecker(calls).check() }

    @Test func aPlainHistoryIsFine() {
        #expect(
            verdict([
                call(1, .put(x, "1"), 0, 10, written(1)), call(2, .get(x), 11, 12, value("1", 1)),
                call(3, .increment(x, by: 2), 13, 14, written(2, 3)), call(4, .delete(x, .none), 15, 16, written(3)),
                call(5, .get(x), 17, 18, .absent),
            ]) == .linearizable)
    }

    @Test func aStaleReadIsFound() {
        #expect(
            verdict([
                call(1, .put(x, "1"), 0, 10, written(1)), call(2, .put(x, "2"), 11, 20, written(2)),
                call(3, .get(x), 21, 30, value("1", 1)),
            ]) == .violated)
    }

    @Test func aLostWriteIsFound() {
        #expect(verdict([call(1, .put(x, "1"), 0, 10, written(1)), call(2, .get(x), 11, 12, .absent)]) == .violated)
    }

    @Test func aRefusedWriteThatShowsIsFound() {
        #expect(
            verdict([
                call(1, .put(x, "1"), 0, 10, .refused(.timeout)), call(2, .get(x), 11, 12, value("1", 1)),
            ]) == .violated)
    }

    @Test func anUnknownWriteMayShowLateOrNever() {
        let unknown = call(1, .put(x, "1"), 0, 5, .unknown(acked: 1, required: 2))
        #expect(verdict([unknown, call(2, .get(x), 11, 12, .absent)]) == .linearizable)
        let late = [call(2, .get(x), 11, 12, .absent), call(3, .get(x), 13, 14, value("1", 1))]
        #expect(verdict([unknown] + late) == .linearizable)
        #expect(verdict([unknown] + late + [call(4, .get(x), 15, 16, .absent)]) == .violated)
    }

    @Test func twoWinnersOfOneComparisonAreFound() {
        let base = call(1, .put(x, "1"), 0, 10, written(1))
        #expect(
            verdict([
                base, call(2, .put(x, "2", .version([version(1)])), 11, 20, written(2)),
                call(3, .put(x, "3", .version([version(1)])), 11, 20, written(3)),
            ]) == .violated)
        #expect(verdict([base, call(2, .put(x, "2", .absent), 11, 20, written(2))]) == .violated)
    }

    @Test func aLostIncrementIsFound() {
        #expect(
            verdict([
                call(1, .increment(x, by: 1), 0, 10, written(1, 1)),
                call(2, .increment(x, by: 1), 0, 10, written(2, 1)),
            ]) == .violated)
    }

    @Test func aVersionThatGoesBackIsFound() {
        #expect(
            verdict([
                call(1, .put(x, "1"), 0, 10, written(5)), call(2, .put(x, "2"), 11, 20, written(4)),
            ]) == .violated)
    }

    @Test func aComparisonThatFailsWithoutReasonIsFound() {
        #expect(
            verdict([
                call(1, .put(x, "1"), 0, 10, written(1)),
                call(2, .put(x, "2", .version([version(1)])), 11, 20, .conditionFailed(current: version(1))),
            ]) == .violated)
    }

    @Test func anExpiredValueStaysGone() {
        let put = call(1, .put(x, value: [49], expiresAt: 100, .none), 0, 10, written(1))
        var gone = call(2, .get(x), 11, 12, .absent)
        #expect(verdict([put, gone]) == .violated)
        gone.wall = 100
        #expect(verdict([put, gone]) == .linearizable)
        #expect(verdict([put, gone, call(3, .get(x), 13, 14, value("1", 1))]) == .violated)
    }
}
