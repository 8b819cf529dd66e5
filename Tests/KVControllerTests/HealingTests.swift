import KVController
import KVPlacement
import KVProtocols
import Testing

/// One failure after another, nodes that come and go, and what people see of it. Time is pretended: the same every run.
@Suite struct HealingTests {
    @Test func failuresInARowAreRepairedOneAfterTheOther() async throws {
        var cluster = try await started(6)
        for name in ["worker1", "worker2", "worker3"] {
            let held = try await cluster.controller.node(name).replicas
            try cluster.stop(name)
            try await cluster.run(until: isHealed)
            try await cluster.run { await $0.kinds(name).contains(.rereplicationFinished) }
            let finished = try await cluster.last(.rereplicationFinished)
            #expect(finished.partitions == held)
            #expect(try #require(finished.durationMilliseconds) >= 1000)
            #expect(finished.keys == UInt64(held) * 1000)
        }
        #expect(try await cluster.map().partitions.allSatisfy { $0.members.count == 3 })
        try cluster.start("worker1", "worker2", "worker3")
        try await cluster.run { await $0.controller.nodes().nodes.allSatisfy { $0.replicas == 8 } }
        #expect(await cluster.events(.alarmRaised).isEmpty)
        cluster.checkHistory()
    }

    /// Each step of a move waits for a heartbeat.
    @Test func moreHeartbeatsAreWantedWhilePartitionsMove() async throws {
        var cluster = try await started(6)
        let index = try cluster.index("worker2")
        #expect(try await cluster.beat(index)?.nextMilliseconds == nil)
        cluster.syncAfter = 3000
        try cluster.stop("worker1")
        try await cluster.run { try await $0.map().partitions.contains(where: \.isJoint) }
        #expect(try await cluster.beat(index)?.nextMilliseconds == 100)
        try await cluster.run(until: isHealed)
        #expect(try await cluster.beat(index)?.nextMilliseconds == nil)
    }

    @Test func aSecondFailureDuringARepairIsRepairedToo() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 3000
        try cluster.stop("worker1")
        try await cluster.run(9000)
        #expect(try await cluster.map().partitions.contains(where: \.isJoint))
        try cluster.stop("worker4")
        try await cluster.run(until: isHealed)
        try await cluster.run { await $0.events(.rereplicationFinished).count == 2 }
        cluster.checkHistory()
    }

    @Test func aFailureDuringADrainIsRepairedFirstAndTheDrainGoesOn() async throws {
        var cluster = try await started(5)
        cluster.syncAfter = 3000
        try await cluster.controller.drain("worker1")
        try await cluster.run(1000)
        try cluster.stop("worker2")
        try await cluster.run { await $0.kinds("worker1").contains(.nodeDrained) }
        let map = try await cluster.map()
        let left = Set(cluster.nodes.dropFirst(2).map(\.id))
        try await cluster.run { try await $0.map().partitions.allSatisfy { Set($0.members) == left && !$0.isJoint } }
        #expect(map.nodes.count == 5)
        cluster.checkHistory()
    }

    @Test func aDrainingNodeThatDiesIsEmptiedAllTheSame() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 3000
        try await cluster.controller.drain("worker3")
        try await cluster.run(1000)
        try cluster.stop("worker3")
        try await cluster.run { await $0.kinds("worker3").contains(.nodeDrained) }
        #expect(try await cluster.map().partitions.allSatisfy { !$0.contains(NodeID(3)) })
        cluster.checkHistory()
    }

    @Test func aDeadNodeCanBeRemoved() async throws {
        var cluster = try await started(6)
        try cluster.stop("worker6")
        try await cluster.run(3500)
        try await cluster.controller.remove("worker6")
        try await cluster.run { await $0.kinds("worker6").contains(.nodeRemoved) }
        #expect(try await cluster.map().node(named: "worker6") == nil)
        #expect(try await cluster.map().partitions.allSatisfy { $0.members.count == 3 && !$0.isJoint })
        #expect(await cluster.controller.health().nodes.total == 5)
        cluster.checkHistory()
    }

    @Test func aNodeReplacedUnderItsNameWhileItDrainsIsDrainedAtOnce() async throws {
        var cluster = try await started(6)
        cluster.syncAfter = 3000
        try await cluster.controller.drain("worker2")
        try await cluster.run(1000)
        try cluster.change("worker2") { $0.empty(incarnation: 99) }
        try await cluster.run { await $0.kinds("worker2").contains(.nodeDrained) }
        try await cluster.run(until: isHealed)
        #expect(try await cluster.controller.node("worker2").replicas == 0)
        try await cluster.run { await $0.kinds("worker2").contains(.rereplicationFinished) }
        cluster.checkHistory()
    }

    @Test func newNodesGetTheirShareWithTheFewestCopies() async throws {
        let names = (1...6).map { "worker\($0)" }
        var cluster = try FakeCluster(Array(names.prefix(4)), configured: names, partitions: 16)
        try await cluster.run(12_000)
        let before = try await cluster.map()
        cluster.nodes.append(contentsOf: [FakeCluster.process("worker5", 4), FakeCluster.process("worker6", 5)])
        try await cluster.run { await $0.kinds().contains(.rebalanceFinished) }
        let after = try await cluster.map()
        #expect(await cluster.controller.nodes().nodes.map(\.replicas) == [8, 8, 8, 8, 8, 8])
        let copies = zip(before.partitions, after.partitions).reduce(0) { sum, pair in
            sum + pair.1.members.count { !pair.0.members.contains($0) }
        }
        #expect(copies == 16, "what the two new ones hold, and nothing else")
        let finished = try await cluster.last(.rebalanceFinished)
        #expect(8000...16_000 ~= (try #require(finished.keys)), "a thousand for each partition that was copied")
        #expect(try #require(finished.partitions) >= 8)
        cluster.checkHistory()
    }

    @Test func aNewNodeReceivesFewCopiesAtOnce() async throws {
        let names = (1...5).map { "worker\($0)" }
        var cluster = try FakeCluster(Array(names.prefix(4)), configured: names, partitions: 32)
        try await cluster.run(12_000)
        cluster.syncAfter = 3000
        cluster.nodes.append(FakeCluster.process("worker5", 4))
        try await cluster.run { await $0.kinds().contains(.rebalanceStarted) }
        let partitions = await cluster.controller.partitions()
        #expect(partitions.summary.waiting > 0)
        #expect(partitions.work.first?.kind == "rebalance")
        try await cluster.run { await $0.kinds().contains(.rebalanceFinished) }
        for map in cluster.published {
            let receives = map.partitions.count {
                $0.members.contains(NodeID(5)) && $0.previous?.contains(NodeID(5)) == false
            }
            #expect(receives <= cluster.settings.movesPerNode)
        }
        #expect(await cluster.controller.partitions().work.isEmpty)
    }

    @Test func replicasFollowWeights() async throws {
        var cluster = try FakeCluster((1...5).map { "worker\($0)" }, partitions: 16)
        try cluster.change("worker5") { $0.weight = 200 }
        try await cluster.run(3000)
        #expect(await cluster.controller.nodes().nodes.map(\.replicas) == [8, 8, 8, 8, 16])
        // A weight that changes moves replicas, and is remembered.
        try cluster.change("worker5") { $0.weight = nil }
        try await cluster.run { await $0.kinds().contains(.rebalanceFinished) }
        #expect(await cluster.controller.nodes().nodes.allSatisfy { 9...10 ~= $0.replicas })
        try cluster.change("worker5") { $0.weight = 200 }
        try await cluster.run(500)
        try await cluster.restartController()
        #expect(try await cluster.controller.node("worker5").weight == 200)
    }
}
