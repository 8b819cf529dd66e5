import KVController
import KVPlacement
import KVProtocols
import Testing

/// What the controller remembers.
@Suite struct RestartTests {
    @Test func aRestartKeepsMapMembersAndEvents() async throws {
        var cluster = try await started()
        let map = try await cluster.map()
        let number = await cluster.controller.cluster
        let events = await cluster.controller.events(limit: 1000).events
        try await cluster.restartController()
        #expect(await cluster.controller.cluster == number)
        #expect(try await cluster.map() == map)
        let after = await cluster.controller.events(limit: 1000).events
        #expect(Array(after.prefix(events.count)) == events)
        #expect(after.last?.kind == .controllerStarted)
        try await cluster.run(10_000)
        #expect(try await cluster.map() == map)
        #expect(await cluster.controller.health().verdict == .ok)
    }

    @Test func aFailureDuringTheRestartIsNoticedAndRepaired() async throws {
        var cluster = try await started()
        try cluster.stop("worker4")
        try await cluster.restartController()
        try await cluster.run(until: isHealed)
        #expect(await cluster.kinds("worker4").contains(.rereplicationFinished))
        cluster.checkHistory()
    }

    @Test func aMoveGoesOnAfterARestart() async throws {
        var cluster = try await started()
        cluster.syncAfter = 5000
        try cluster.stop("worker4")
        try await cluster.run(9000)
        #expect(try await cluster.map().partitions.contains(where: \.isJoint))
        try await cluster.restartController()
        cluster.syncAfter = 500
        try await cluster.run(until: isHealed)
        cluster.checkHistory()
    }

    @Test func numbersAreNotGivenTwice() async throws {
        var cluster = try await started()
        var hello = cluster.heartbeat(of: cluster.nodes[0], nil)
        (hello.incarnation, hello.node, hello.cluster) = (4711, NodeID(0), 0)
        try cluster.stop("worker1")
        try await cluster.run(2000)
        let first = try await cluster.controller.heartbeat(hello)
        try await cluster.restartController()
        let second = try await cluster.controller.heartbeat(hello)
        #expect(first.verdict == .newIdentity)
        #expect(first.node < second.node)
    }

    @Test func whatWasSeenLastBeforeARestartCountsAgainstARollback() async throws {
        var cluster = try await started()
        try cluster.change("worker2") { $0.durable = 5000 }
        try await cluster.run(5000)
        try await cluster.restartController()
        try cluster.change("worker2") { $0.durable = 4999 }
        try await cluster.run(1000)
        #expect(cluster.nodes[1].id == NodeID(5))
    }

    @Test func anOldCopyOfTheFolderDoesNotSpeakForTheCluster() async throws {
        var cluster = try await started()
        await cluster.controller.flush()
        let copy = cluster.backend.copy()
        try cluster.change("worker2") { $0.boot = 2 }
        try await cluster.run(2000)
        try await cluster.restartController(from: copy)
        cluster.nodes[0].isUp = false
        try await cluster.run(20_000)
        #expect(await cluster.controller.health().verdict == .failed)
        #expect(await cluster.kinds().contains(.alarmRaised))
        #expect(try await cluster.map().partitions.allSatisfy { !$0.isJoint })
        #expect(cluster.nodes[2].verdicts.last == .welcome)
    }

    @Test(arguments: [0, 1, 2])
    func aTornBatchLeavesTheMapBefore(applied: Int) async throws {
        var cluster = try await started()
        await cluster.controller.flush()
        let map = try await cluster.map()
        cluster.backend.tearNextBatch(after: applied)
        try cluster.change("worker2") { $0.boot = 2 }
        try await cluster.run(500)
        let copy = cluster.backend.copy()
        try await cluster.restartController(from: copy)
        let after = try await cluster.map()
        // The head is the last operation of the batch.
        #expect(applied < 2 ? after == map : after.epoch == map.epoch + 1)
    }

    @Test func aMapThatIsTooLongForOneValueIsStoredInParts() async throws {
        var cluster = try await started(partitions: 8192)
        await cluster.controller.flush()
        #expect(cluster.backend.names.contains("map_0_1"))
        let map = try await cluster.map()
        try await cluster.restartController()
        #expect(try await cluster.map() == map)
    }

    @Test func damagedStateIsReported() async throws {
        let cluster = try await started()
        await cluster.controller.flush()
        for name in ["controller_state", "map_0_0", "events_0"] {
            let copy = cluster.backend.copy()
            copy.set(name, Array("{".utf8))
            #expect(throws: StorageError.self) {
                _ = try Controller(
                    settings: cluster.settings, backend: copy, logger: FakeCluster.silent, clock: cluster.clock.clock)
            }
        }
    }

    @Test func theEventLogIsBounded() async throws {
        var cluster = try await started(partitions: 4)
        for _ in 0..<600 {
            cluster.nodes[0].isHealthy.toggle()
            try await cluster.beat(0)
            cluster.nodes[0].isHealthy.toggle()
            try await cluster.beat(0)
        }
        let before = await cluster.controller.events(limit: 5000).events
        #expect(before.count == 1000)
        #expect(zip(before, before.dropFirst()).allSatisfy { $0.id < $1.id })
        try await cluster.restartController()
        let after = await cluster.controller.events(limit: 5000).events
        #expect(Array(after.dropLast()) == Array(before.dropFirst()))
        let page = await cluster.controller.events(after: before[500].id, limit: 10).events
        #expect(page == Array(before[501...510]))
    }

    @Test func readersAskForWhatIsNewer() async throws {
        var cluster = try await started()
        let seen = try #require(await cluster.controller.events(limit: 1).events.last)
        #expect(await cluster.controller.events(after: seen.id).events.isEmpty)
        try cluster.change("worker2") { $0.boot = 2 }
        try await cluster.run(500)
        let new = await cluster.controller.events(after: seen.id).events
        #expect(new.map(\.kind) == [.nodeUp])
        #expect(new.first?.node == "worker2")
    }
}
