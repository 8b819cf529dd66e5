import KVPlacement
import KVProtocols
import Testing

@Suite struct FailureDetectorTests {
    private let node = NodeID(1)

    private func step(_ detector: inout FailureDetector, from: Int, to: Int) -> [FailureDetector.Change] {
        stride(from: from, through: to, by: 100).flatMap { detector.step(now: $0) }
    }

    @Test func silenceMakesSuspectThenDownThenLost() {
        var detector = FailureDetector()
        detector.watch(node, now: 0)
        #expect(step(&detector, from: 0, to: 1400).isEmpty)
        #expect(detector.status(of: node)?.condition == .up)
        _ = step(&detector, from: 1500, to: 2900)
        #expect(detector.status(of: node)?.condition == .suspect)
        #expect(detector.isLive(node))
        #expect(step(&detector, from: 3000, to: 7900) == [.failed(node, silentFor: 3000, isFailing: false)])
        #expect(!detector.isLive(node))
        #expect(step(&detector, from: 8000, to: 20_000) == [.replaceDue(node)])
        #expect(detector.heard(node, healthy: true, now: 20_050) == .returned(node, downFor: 17_050))
        #expect(detector.status(of: node)?.condition == .up)
    }

    @Test func aNodeThatCannotWriteIsDownAtOnce() {
        var detector = FailureDetector()
        #expect(detector.heard(node, healthy: true, now: 0) == nil)
        #expect(detector.heard(node, healthy: false, now: 500) == .failed(node, silentFor: 0, isFailing: true))
        #expect(detector.heard(node, healthy: false, now: 1000) == nil)
        #expect(detector.status(of: node)?.isFailing == true)
        #expect(detector.heard(node, healthy: true, now: 1500) == .returned(node, downFor: 1000))
    }

    @Test func aPauseOfTheJudgeCountsForNobody() {
        var detector = FailureDetector()
        detector.watch(node, now: 0)
        _ = step(&detector, from: 0, to: 500)
        #expect(detector.step(now: 60_000).isEmpty)
        #expect(step(&detector, from: 60_100, to: 63_000).count == 1)
    }

    @Test func aNodeSettlesAfterAWhile() {
        var detector = FailureDetector()
        detector.watch(node, now: 0)
        #expect(!detector.isSettled(node, now: 2999))
        #expect(detector.isSettled(node, now: 3000))
        #expect(!detector.isSettled(NodeID(9), now: 3000))
    }

    @Test func lossesAtOnceRaiseTheAlarmOnce() {
        var alarm = LossAlarm(window: 1000)
        func loss(_ node: Int, _ since: Int) -> LossAlarm.Loss { .init(node: NodeID(UInt32(node)), since: since) }
        #expect(alarm.step(losses: [loss(1, 0)], total: 4) == nil)
        #expect(alarm.step(losses: [loss(1, 0), loss(2, 900)], total: 4) == .raised(ids(1, 2)))
        #expect(alarm.step(losses: [loss(1, 0), loss(2, 900)], total: 4) == nil)
        #expect(alarm.step(losses: [loss(2, 900)], total: 4) == .cleared)
        #expect(!alarm.isRaised)
    }

    @Test func lossesFarApartAreNotAtOnce() {
        var alarm = LossAlarm(window: 1000)
        let losses = [LossAlarm.Loss(node: NodeID(1), since: 0), LossAlarm.Loss(node: NodeID(2), since: 1001)]
        #expect(alarm.step(losses: losses, total: 4) == nil)
    }

    @Test func anAcknowledgedLossDoesNotRaiseTheAlarmAgain() {
        var alarm = LossAlarm()
        let losses = [LossAlarm.Loss(node: NodeID(1), since: 0), LossAlarm.Loss(node: NodeID(2), since: 0)]
        _ = alarm.step(losses: losses, total: 4)
        let acknowledgements = [alarm.acknowledge(), alarm.acknowledge()]
        #expect(acknowledgements == [true, false])
        #expect(alarm.step(losses: losses, total: 4) == nil)
        #expect(alarm.step(losses: [], total: 4) == nil)
        #expect(alarm.step(losses: losses, total: 4) == .raised(ids(1, 2)))
    }
}
