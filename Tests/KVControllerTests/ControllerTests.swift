import KVController
import KVPlacement
import KVProtocols
import Testing

@Suite struct ControllerTests {
    @Test func theFirstMapComesWhenAllConfiguredNodesAreThere() async throws {
        var cluster = try FakeCluster(four)
        try cluster.stop("worker4")
        try await cluster.run(5000)
        #expect(await cluster.controller.clusterMap == nil)
        #expect(await cluster.controller.health().verdict == .starting)
        try cluster.start("worker4")
        try await cluster.run(1000)
        let map = try await cluster.map()
        #expect(map.partitions.count == 64)
        let answer = try await cluster.controller.map()
        #expect(answer.partitions[0].members == ["worker1", "worker2", "worker3"])
        #expect(answer.partitions[57].members == ["worker2", "worker3", "worker4"])
        #expect(await cluster.kinds().contains(.clusterCreated))
    }

    @Test func theFirstMapWaitsTenSecondsForMissingNodesAndThenTakesAMajority() async throws {
        var cluster = try FakeCluster(four)
        try cluster.stop("worker4")
        try await cluster.run(11_500)
        #expect(try await cluster.map().nodes.count == 3)
        // The missing one joins later and gets its share.
        try cluster.start("worker4")
        try await cluster.run { cluster in
            let nodes = await cluster.controller.nodes().nodes
            return nodes.allSatisfy { $0.replicas == 48 && $0.leading == 16 }
        }
        #expect(await cluster.kinds().contains(.rebalanceStarted))
        try await cluster.run { await $0.kinds().contains(.rebalanceFinished) }
        cluster.checkHistory()
    }

    @Test func twoOfFourNodesAreNotEnoughForAFirstMap() async throws {
        var cluster = try FakeCluster(four)
        try cluster.stop("worker3", "worker4")
        try await cluster.run(20_000)
        #expect(await cluster.controller.clusterMap == nil)
    }

    @Test func aSingleNodeClusterStarts() async throws {
        let cluster = try await started(["solo"])
        #expect(try await cluster.map().partitions.allSatisfy { $0.members.count == 1 })
        #expect(await cluster.controller.health().verdict == .ok)
    }

    @Test func aLostNodeIsReplacedAndPeopleAreTold() async throws {
        var cluster = try await started()
        try cluster.stop("worker2")
        try await cluster.run(3500)
        #expect(await cluster.kinds("worker2").contains(.failureDetected))
        #expect(try await cluster.map().partitions.allSatisfy { !$0.isJoint }, "not yet due")
        let health = await cluster.controller.health()
        #expect(health.verdict == .degraded)
        #expect(health.workersCount == 3)
        #expect(health.partitions.underReplicated == 48)
        try await cluster.run(until: isHealed)
        try await cluster.run { await $0.kinds("worker2").contains(.rereplicationFinished) }
        let kinds = await cluster.kinds("worker2").filter { $0 != .nodeJoined }
        #expect(kinds == [.failureDetected, .rereplicationStarted, .rereplicationFinished])
        #expect(cluster.published.allSatisfy { $0.partitions.count(where: \.isJoint) <= 8 }, "bounded moves")
        cluster.checkHistory()
    }

    @Test func aNodeThatReturnsInTimeKeepsEverything() async throws {
        var cluster = try await started()
        let before = try await cluster.map()
        try cluster.stop("worker2")
        try await cluster.run(6000)
        try cluster.start("worker2")
        try await cluster.run(20_000)
        #expect(try await cluster.map() == before)
        #expect(await cluster.kinds("worker2").suffix(2) == [.failureDetected, .nodeReturned])
        #expect(await cluster.controller.health().verdict == .ok)
    }

    @Test func aNodeThatReturnsAfterItsReplacementGetsItsShareAgain() async throws {
        var cluster = try await started()
        try cluster.stop("worker2")
        try await cluster.run { await $0.kinds().contains(.rereplicationFinished) }
        try cluster.start("worker2")
        try await cluster.run { await $0.kinds().last == .rebalanceFinished }
        for node in await cluster.controller.nodes().nodes {
            #expect(node.replicas == 48)
            #expect(node.leading == 16)
        }
        cluster.checkHistory()
    }

    @Test func aNodeThatReturnsDuringItsReplacementEndsIt() async throws {
        var cluster = try await started()
        cluster.syncAfter = 1_000_000
        try cluster.stop("worker2")
        try await cluster.run(10_000)
        #expect(try await cluster.map().partitions.count(where: \.isJoint) == 8)
        try cluster.start("worker2")
        try await cluster.run(1000)
        #expect(try await cluster.map().partitions.allSatisfy { !$0.isJoint && $0.members.count == 3 })
        #expect(await cluster.controller.nodes().nodes.allSatisfy { $0.replicas == 48 })
        #expect(await cluster.kinds("worker2").suffix(2).contains(.rereplicationFinished))
        cluster.checkHistory()
    }

    @Test func aTargetThatDiesDuringAMoveIsReplacedByAnother() async throws {
        var cluster = try await started(four + ["worker5", "worker6"])
        cluster.syncAfter = 1_000_000
        try cluster.stop("worker1")
        try await cluster.run(10_000)
        let moving = try await cluster.map().partitions.filter(\.isJoint)
        let newcomer = try #require(
            moving.first.flatMap { move in move.members.first { move.previous?.contains($0) == false } })
        let index = try #require(cluster.nodes.firstIndex { $0.id == newcomer })
        cluster.nodes[index].isUp = false
        try await cluster.run(10_000)
        let map = try await cluster.map()
        #expect(
            map.partitions.filter(\.isJoint).allSatisfy {
                !$0.members.contains(newcomer) || $0.previous?.contains(newcomer) == true
            })
        // Partitions that lost both nodes have no quorum until one of them is back.
        cluster.nodes[index].isUp = true
        cluster.syncAfter = 1000
        try await cluster.run(until: isHealed)
        cluster.checkHistory()
    }

    @Test func halfTheNodesLostAtOnceStopsMovesUntilOneReturns() async throws {
        var cluster = try await started()
        try cluster.stop("worker1", "worker2")
        let before = try await cluster.map()
        try await cluster.run(30_000)
        #expect(try await cluster.map() == before)
        #expect(await cluster.kinds().contains(.alarmRaised))
        #expect(await cluster.controller.health().verdict == .failed)
        try cluster.start("worker1")
        try await cluster.run(until: isHealed)
        #expect(await cluster.kinds().contains(.alarmCleared))
        cluster.checkHistory()
    }

    @Test func aPersonMayAcknowledgeTheAlarm() async throws {
        var cluster = try await started(four + ["worker5", "worker6"])
        try cluster.stop("worker1", "worker3", "worker5")
        try await cluster.run(20_000)
        #expect(try await cluster.map().partitions.allSatisfy { !$0.isJoint })
        try await cluster.controller.acknowledgeAlarm()
        try await cluster.run(20_000)
        // Partitions with two live members are repaired, the others need someone back.
        let map = try await cluster.map()
        let live = Set(cluster.nodes.filter(\.isUp).map(\.id))
        #expect(map.partitions.contains { $0.members.allSatisfy(live.contains) })
        #expect(
            map.partitions.allSatisfy { !$0.isJoint || $0.isQuorum($0.everyone.filter(live.contains)) { $0 / 2 + 1 } })
        await #expect(throws: ControllerError.self) { try await cluster.controller.acknowledgeAlarm() }
        cluster.checkHistory()
    }

    @Test func flappingMovesNothing() async throws {
        var cluster = try await started()
        let before = try await cluster.map()
        for _ in 0..<6 {
            try cluster.stop("worker3")
            try await cluster.run(4500)
            try cluster.start("worker3")
            try await cluster.run(1000)
        }
        #expect(try await cluster.map() == before)
    }

    @Test func aNodeThatCannotWriteIsTreatedAsFailed() async throws {
        var cluster = try await started()
        try cluster.change("worker3") { $0.isHealthy = false }
        try await cluster.run(500)
        #expect(await cluster.controller.nodes().nodes.first?.state == .failed)
        #expect(await cluster.kinds("worker3").contains(.failureDetected))
        try await cluster.run(until: isHealed)
    }

    @Test func aPauseOfTheControllerIsNotHeldAgainstTheNodes() async throws {
        var cluster = try await started()
        cluster.clock.advance(60_000)
        try await cluster.run(3000)
        #expect(await !cluster.kinds().contains(.failureDetected))
    }

    @Test func drainingEmptiesANodeAndRemovingForgetsIt() async throws {
        var cluster = try await started()
        try await cluster.controller.drain("worker2")
        #expect(try await cluster.controller.node("worker2").state == .draining)
        await #expect(throws: ControllerError.self) { try await cluster.controller.drain("worker3") }
        try await cluster.run { await $0.kinds("worker2").contains(.nodeDrained) }
        #expect(try await cluster.controller.node("worker2").replicas == 0)
        try await cluster.controller.remove("worker2")
        try await cluster.run(1000)
        #expect(await cluster.kinds("worker2").contains(.nodeRemoved))
        #expect(try await cluster.map().node(named: "worker2") == nil)
        #expect(cluster.nodes[1].verdicts.last == .refused)
        #expect(cluster.nodes[1].reason.hasPrefix("worker2 was removed from the cluster. Stop it;"))
        await #expect(throws: ControllerError.self) { _ = try await cluster.controller.node("worker2") }
        // With an emptied folder it is a new node.
        try cluster.change("worker2") { $0.empty(incarnation: 77) }
        try await cluster.run {
            await $0.controller.nodes().nodes.contains { $0.name == "worker2" && $0.replicas == 48 }
        }
        cluster.checkHistory()
    }

    @Test func undrainingBringsReplicasBack() async throws {
        var cluster = try await started()
        await #expect(throws: ControllerError.self) { try await cluster.controller.undrain("worker2") }
        try await cluster.controller.drain("worker2")
        try await cluster.run(2000)
        try await cluster.controller.undrain("worker2")
        try await cluster.run { await $0.controller.nodes().nodes.allSatisfy { $0.replicas == 48 && $0.state == .up } }
        await #expect(throws: ControllerError.self) { try await cluster.controller.drain("nobody") }
    }

    @Test func aMapIsOnlyPublishedOnceItIsStored() async throws {
        var cluster = try await started()
        cluster.backend.fail(with: StorageError(.full, "The disk is full"))
        try cluster.stop("worker2")
        let before = try await cluster.map()
        try await cluster.run(15_000)
        #expect(try await cluster.map() == before)
        #expect(await cluster.controller.health().reasons.contains { $0.contains("can't store") })
        #expect(await cluster.controller.health().storable == false)
        cluster.backend.fail(with: nil)
        try await cluster.run(until: isHealed)
        #expect(await cluster.controller.health().storable)
        #expect(await cluster.kinds().contains(.alarmCleared))
    }
}
