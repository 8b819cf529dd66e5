import KVController
import KVPlacement
import KVProtocols
import Testing

/// What people see of moves while they last, and what a restart of the controller leaves of it.
@Suite struct ProgressTests {
    @Test func aMoveShowsKeysBytesAndTheTimeLeft() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 20_000
        try cluster.stop("worker1")
        try await cluster.run { await $0.kinds().contains(.rereplicationStarted) }
        try await cluster.run(5000)
        let answer = await cluster.controller.partitions()
        let moving = try #require(answer.partitions.first { $0.previous != nil })
        let progress = try #require(moving.progress)
        #expect(200...300 ~= progress.keys)
        #expect(progress.keys + progress.keysLeft == 1000)
        #expect(progress.bytes == progress.keys * 100)
        #expect(14_000...16_000 ~= (try #require(progress.millisecondsLeft)))
        let work = try #require(answer.work.first)
        #expect((work.kind, work.node, work.partitions, work.partitionsLeft) == ("repair", "worker1", 7, 7))
        #expect(work.keys > 1000 && work.bytes == work.keys * 100)
        #expect(work.millisecondsLeft != nil)
        try await cluster.run(until: isHealed)
        #expect(await cluster.controller.partitions().partitions.allSatisfy { $0.progress == nil })
    }

    @Test func whatTakesLongIsToldOfSeldom() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 1_000_000
        try cluster.stop("worker1")
        try await cluster.run(100_000)
        let told = await cluster.kinds().count { $0 == .moveProgress }
        #expect(told == 3, "after 10, 30 and 70 seconds")
        let event = try await cluster.last(.moveProgress)
        #expect(event.node == "worker1")
        #expect(event.message.hasPrefix("Re-replication of worker1: 0 of 7 partitions done after 70."))
        #expect(event.partitions == 0)
        #expect(try #require(event.durationMilliseconds) >= 70_000)
    }

    @Test func failuresReturnsAndDrainsCarryCountsAndTimes() async throws {
        var cluster = try await started(6)
        try cluster.stop("worker1")
        try await cluster.run(5000)
        let failed = try await cluster.last(.failureDetected)
        #expect(failed.partitions == 7)
        #expect(3000...3600 ~= (try #require(failed.durationMilliseconds)))
        try cluster.start("worker1")
        try await cluster.run(1000)
        let back = try await cluster.last(.nodeReturned)
        #expect(back.partitions == 7)
        #expect(1000...3000 ~= (try #require(back.durationMilliseconds)))
        try await cluster.controller.drain("worker2")
        #expect(try await cluster.last(.nodeDraining).partitions == 8)
        try await cluster.run { await $0.kinds().contains(.nodeDrained) }
        let drained = try await cluster.last(.nodeDrained)
        #expect(drained.partitions == 8)
        #expect(drained.keys == 8000)
        #expect(try #require(drained.durationMilliseconds) > 1000)
    }

    @Test func absurdFiguresStopNothing() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 4000
        cluster.absurdProgress = true
        for name in ["worker1", "worker2"] { try cluster.change(name) { $0.weight = name == "worker1" ? .max : .min } }
        try cluster.stop("worker3")
        try await cluster.run { await $0.kinds().contains(.rereplicationStarted) }
        try await cluster.run(2000)
        #expect(await cluster.controller.partitions().work.count >= 1)
        try await cluster.run(until: isHealed)
    }

    @Test func aMoveBetweenTwoHeartbeatsIsCountedAsAMeanOne() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 0
        cluster.keysPerNode = 8000
        try await cluster.controller.drain("worker2")
        try await cluster.run { await $0.kinds().contains(.nodeDrained) }
        let keys = try #require(try await cluster.last(.nodeDrained).keys)
        #expect(5000...9000 ~= keys)
    }

    @Test func alarmsSayHowLongTheyLasted() async throws {
        var cluster = try await started(4)
        try cluster.stop("worker1", "worker2")
        try await cluster.run(10_000)
        #expect(await cluster.controller.health().alarm == ["worker1", "worker2"])
        #expect(try await cluster.last(.alarmRaised).partitions == 16)
        try cluster.start("worker1")
        try await cluster.run(1000)
        #expect(5000...8500 ~= (try #require(await cluster.last(.alarmCleared).durationMilliseconds)))
        #expect(await cluster.controller.health().alarm == nil)
    }

    @Test func aRestartedControllerTellsOfTheEndOfARepair() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 4000
        try cluster.stop("worker1")
        try await cluster.run { await $0.kinds().contains(.rereplicationStarted) }
        try await cluster.run(1000)
        try await cluster.restartController()
        #expect(await cluster.controller.partitions().work.first?.partitions == 7)
        try await cluster.run { await $0.kinds("worker1").last == .rereplicationFinished }
        let finished = try await cluster.last(.rereplicationFinished)
        #expect(finished.partitions == 7)
        #expect(try #require(finished.durationMilliseconds) >= 4000, "from before the restart")
        #expect(await cluster.kinds().count { $0 == .rereplicationStarted } == 1)
        cluster.checkHistory()
    }

    @Test func aDrainGoesOnAfterARestart() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 3000
        try await cluster.controller.drain("worker2")
        try await cluster.run(1000)
        try await cluster.restartController()
        try await cluster.run { await $0.kinds("worker2").last == .nodeDrained }
        #expect(try await cluster.last(.nodeDrained).partitions == 8)
    }

    @Test func aNodeThatReturnsAfterARestartOfTheControllerEndsItsReplacement() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 1_000_000
        try cluster.stop("worker1")
        try await cluster.run { try await $0.map().partitions.contains(where: \.isJoint) }
        try await cluster.restartController()
        try cluster.start("worker1")
        try await cluster.run(2000)
        #expect(try await cluster.map().partitions.allSatisfy { !$0.isJoint })
        #expect(try await cluster.controller.node("worker1").replicas == 7)
        #expect(await cluster.kinds("worker1").last == .rereplicationFinished)
    }

    @Test func anAcknowledgedAlarmStaysAcknowledgedAfterARestart() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 1_000_000
        try cluster.stop("worker1", "worker3", "worker5")
        try await cluster.run(5000)
        try await cluster.controller.acknowledgeAlarm()
        try await cluster.run(500)
        try await cluster.restartController()
        try await cluster.run(15_000)
        #expect(await cluster.controller.health().alarm == nil)
        #expect(await cluster.kinds().count { $0 == .alarmRaised } == 1)
        // Once they were up, losing them again is news.
        try cluster.start("worker1", "worker3", "worker5")
        try await cluster.run(1000)
        try cluster.stop("worker1", "worker3", "worker5")
        try await cluster.run(5000)
        #expect(await cluster.kinds().count { $0 == .alarmRaised } == 2)
    }
}
