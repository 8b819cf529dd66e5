import KVController
import KVPlacement
import KVProtocols
import Testing

/// Who is who: empty, swapped, foreign and rolled-back folders, and two processes of one name.
@Suite struct IdentityTests {
    @Test func aNewNodeGetsANumberAndTheCluster() async throws {
        var cluster = try FakeCluster(four)
        try await cluster.run(500)
        for node in cluster.nodes { #expect(node.verdicts == [.newIdentity, .welcome]) }
        #expect(cluster.nodes.map(\.id) == (1...4).map { NodeID($0) })
        #expect(await cluster.controller.cluster == cluster.nodes[0].cluster)
    }

    @Test func aNodeThatIsNotConfiguredIsRefused() async throws {
        var cluster = try FakeCluster(["worker1", "stranger"], configured: four)
        try await cluster.run(1000)
        #expect(cluster.nodes[1].verdicts.last == .refused)
        #expect(cluster.nodes[1].reason.contains("stranger"))
    }

    @Test func anotherClustersFolderIsRefused() async throws {
        var cluster = try await started()
        try cluster.change("worker2") { $0.cluster += 1 }
        try await cluster.run(1000)
        #expect(cluster.nodes[1].verdicts.last == .refused)
        #expect(cluster.nodes[1].reason.contains("another cluster"))
        #expect(await cluster.kinds("worker2").contains(.alarmRaised))
        try cluster.change("worker2") { $0.cluster -= 1 }
        try await cluster.run(1000)
        #expect(cluster.nodes[1].verdicts.last == .welcome)
        #expect(await cluster.kinds("worker2").last == .alarmCleared)
    }

    @Test func anEmptiedFolderIsANewMemberAndItsOldReplicasAreReplacedAtOnce() async throws {
        var cluster = try await started()
        try cluster.change("worker2") { $0.empty(incarnation: 99) }
        try await cluster.run(3500)
        #expect(cluster.nodes[1].id == NodeID(5))
        #expect(await cluster.kinds("worker2").contains(.nodeReplaced))
        #expect(await cluster.kinds("worker2").contains(.rereplicationStarted), "without waiting")
        try await cluster.run(until: isHealed)
        let map = try await cluster.map()
        #expect(map.partitions.allSatisfy { !$0.contains(NodeID(2)) })
        #expect(map.node(named: "worker2")?.id == NodeID(5))
        try await cluster.run { await $0.controller.nodes().nodes.allSatisfy { $0.replicas == 48 } }
        cluster.checkHistory()
    }

    @Test func aFolderThatWasReplacedCannotComeBack() async throws {
        var cluster = try await started()
        let old = cluster.nodes[1]
        try cluster.change("worker2") { $0.empty(incarnation: 99) }
        try await cluster.run(until: isHealed)
        cluster.nodes[1].isUp = false
        try await cluster.run(5000)
        cluster.nodes[1] = old
        try await cluster.run(2000)
        #expect(cluster.nodes[1].verdicts.last == .refused)
    }

    @Test(arguments: [true, false])
    func aRolledBackFolderIsANewMember(byBoot: Bool) async throws {
        var cluster = try await started()
        try cluster.change("worker2") {
            $0.boot = 5; $0.durable = 900
        }
        try await cluster.run(1000)
        #expect(cluster.nodes[1].id == NodeID(2))
        try cluster.change("worker2") { if byBoot { $0.boot = 4 } else { $0.durable = 899 } }
        try await cluster.run(3500)
        #expect(cluster.nodes[1].id == NodeID(5))
        #expect(cluster.nodes[1].verdicts.last == .welcome)
        #expect(cluster.nodes[1].verdicts.filter { $0 == .newIdentity }.count == 2)
    }

    @Test func aFolderOnWhichDataDependsIsRefusedInstead() async throws {
        var cluster = try await started()
        try cluster.stop("worker3")
        try await cluster.run(3500)
        try cluster.change("worker2") { $0.durable = 1 }
        try await cluster.run(1000)
        #expect(cluster.nodes[1].verdicts.last == .refused)
        #expect(cluster.nodes[1].reason.contains("read quorum"))
        #expect(await cluster.kinds("worker2").contains(.alarmRaised))
        // Once another node is back, nothing depends on it any more.
        try cluster.start("worker3")
        try await cluster.run(2000)
        #expect(cluster.nodes[1].id == NodeID(5))
        #expect(cluster.nodes[1].verdicts.last == .welcome)
    }

    @Test func aSecondProcessOfTheSameNameIsRefusedWhileTheFirstGoesOn() async throws {
        var cluster = try await started()
        var second = cluster.nodes[1]
        second.address = "127.0.0.1:9999"
        cluster.nodes.append(second)
        try await cluster.run(5000)
        #expect(cluster.nodes[4].verdicts.last == .refused)
        #expect(cluster.nodes[1].verdicts.last == .welcome)
        #expect(try await cluster.map().node(NodeID(2))?.address == "127.0.0.1:8002")
        cluster.nodes[4].empty(incarnation: 55)
        try await cluster.run(5000)
        #expect(cluster.nodes[4].verdicts.last == .refused)
        #expect(cluster.nodes[4].id == NodeID(0))
        #expect(cluster.nodes[1].id == NodeID(2))
    }

    @Test func anOldProcessThatGoesOnAfterANewerBootIsRefused() async throws {
        var cluster = try await started()
        var old = cluster.nodes[1]
        try cluster.change("worker2") { $0.boot = 2 }
        try await cluster.run(1000)
        old.verdicts = []
        cluster.nodes.append(old)
        try await cluster.run(5000)
        #expect(cluster.nodes[4].verdicts.allSatisfy { $0 == .refused })
        #expect(cluster.nodes[1].verdicts.last == .welcome)
    }

    @Test func aHeartbeatThatArrivesLateChangesNothing() async throws {
        var cluster = try await started()
        let late = cluster.heartbeat(of: cluster.nodes[1], nil)
        try cluster.change("worker2") { $0.durable = 500 }
        try await cluster.run(1000)
        let reply = try await cluster.controller.heartbeat(late)
        #expect(reply.verdict == .newIdentity, "an offer that nobody takes")
        try await cluster.run(3000)
        #expect(cluster.nodes[1].id == NodeID(2))
        #expect(await !cluster.kinds().contains(.nodeReplaced))
    }

    @Test func aRestartUnderANewAddressUpdatesTheMap() async throws {
        var cluster = try await started()
        let epoch = try await cluster.map().epoch
        try cluster.change("worker2") {
            $0.boot = 2; $0.address = "127.0.0.1:7777"
        }
        try await cluster.run(1000)
        let map = try await cluster.map()
        #expect(map.epoch == epoch + 1)
        #expect(map.node(NodeID(2))?.address == "127.0.0.1:7777")
        #expect(map.node(NodeID(2))?.boot == 2)
        #expect(cluster.nodes.allSatisfy { $0.mapEpoch == map.epoch })
        #expect(await cluster.kinds("worker2").last == .nodeUp)
    }

    @Test func anAnswerThatWasLostIsGivenAgain() async throws {
        let cluster = try FakeCluster(four)
        let hello = cluster.heartbeat(of: cluster.nodes[0], nil)
        let first = try await cluster.controller.heartbeat(hello)
        let second = try await cluster.controller.heartbeat(hello)
        #expect(first == second)
    }
}
