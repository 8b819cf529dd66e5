import KVController
import KVProtocols
import Testing

/// Nodes that are up and say what limits them: a disk that is full or can't be written.
@Suite struct DegradedTests {
    private static let full = "storage is degraded: full: no space is left"

    @Test func aNodeWhoseDiskIsFullKeepsItsReplicas() async throws {
        var cluster = try await started()
        let before = try await cluster.map()
        try cluster.change("worker3") { $0.reasons = [Self.full] }
        try await cluster.run(30_000)
        #expect(try await cluster.map() == before)
        let node = try await cluster.controller.node("worker3")
        #expect((node.state, node.reasons) == (.degraded, [Self.full]))
        let health = await cluster.controller.health()
        #expect(health.verdict == .degraded)
        #expect(health.reasons == ["worker3 is degraded: \(Self.full)"])
        #expect(health.workersCount == 4)
        #expect(await cluster.kinds("worker3").suffix(1) == [.alarmRaised])
        #expect(try await cluster.last(.alarmRaised).message.contains(Self.full))
        try cluster.change("worker3") { $0.reasons = [] }
        try await cluster.run(5000)
        #expect(await cluster.controller.health().verdict == .ok)
        #expect(await cluster.kinds("worker3").suffix(2) == [.alarmRaised, .alarmCleared])
    }

    @Test func aNodeWhoseDiskIsFullIsGivenNoMoreReplicas() async throws {
        var cluster = try await started(6)
        let before = try await cluster.controller.node("worker6").replicas
        try cluster.change("worker6") { $0.reasons = [Self.full] }
        try await cluster.run(1000)
        try cluster.stop("worker1")
        try await cluster.run(until: isHealed)
        #expect(try await cluster.controller.node("worker6").replicas == before)
        cluster.checkHistory()
    }

    @Test func aNodeIsNotDrainedOntoFullDisks() async throws {
        var cluster = try await started()
        try cluster.change("worker3") { $0.reasons = [Self.full] }
        try await cluster.run(1000)
        await #expect(throws: ControllerError.self) { try await cluster.controller.drain("worker2") }
        try await cluster.controller.drain("worker3")
        #expect(try await cluster.controller.node("worker3").state == .degraded)
        try await cluster.run { try await $0.controller.node("worker3").replicas == 0 }
        cluster.checkHistory()
    }

    @Test func aDiskThatIsFullNowAndThenIsToldOfOnce() async throws {
        var cluster = try await started()
        for _ in 0..<20 {
            try cluster.change("worker3") { $0.reasons = $0.reasons.isEmpty ? [Self.full] : [] }
            try await cluster.run(500)
        }
        try await cluster.run(5000)
        let kinds = await cluster.kinds("worker3").filter { $0 != .nodeJoined }
        #expect(kinds == [.alarmRaised, .alarmCleared])
    }

    @Test func aFullDiskThatFailsIsAFailure() async throws {
        var cluster = try await started()
        try cluster.change("worker3") { $0.reasons = [Self.full] }
        try await cluster.run(1000)
        try cluster.change("worker3") { $0.isHealthy = false }
        try await cluster.run(500)
        #expect(try await cluster.controller.node("worker3").state == .failed)
        #expect(await cluster.kinds("worker3").suffix(2) == [.alarmRaised, .failureDetected])
        try await cluster.run(until: isHealed)
    }
}
