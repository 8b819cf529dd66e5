import KVController
import KVPlacement
import KVProtocols
import Logging
import Synchronization
import Testing

/// A clock that a test moves.
final class FakeClock: Sendable {
    private let time = Mutex(1_000_000)
    var now: Int { time.withLock { $0 } }
    func advance(_ milliseconds: Int) { time.withLock { $0 += milliseconds } }

    var clock: ControllerClock {
        ControllerClock(monotonic: { self.now }, wall: { 1_767_225_600_000 + self.now - 1_000_000 })
    }
}

/// One pretended node process.
struct FakeNode {
    var name: String
    var id = NodeID(0)
    var cluster: UInt64 = 0
    var incarnation: UInt64
    var boot: UInt64 = 1
    var durable: UInt64 = 100
    var address: String
    var zone = ""
    var weight: Int?
    var mapEpoch: UInt64 = 0
    var isUp = true
    var isHealthy = true
    var reasons: [String] = []
    var verdicts: [HeartbeatReply.Verdict] = []
    var reason = ""
}

/// A controller, pretended nodes around it, and time that passes in steps of 100 ms. Nodes elect the first live member
/// and report it synced `syncAfter` milliseconds after a configuration was published, and until then how far it is.
struct FakeCluster {
    let clock = FakeClock()
    let settings: ControllerSettings
    var backend = FakeBackend()
    var controller: Controller
    var nodes: [FakeNode]
    var syncAfter = 1000
    /// What leaders report of a partition while it moves.
    var keysPerPartition: UInt64 = 1000
    var absurdProgress = false
    var keysPerNode: UInt64 = 7
    var firstSeen: [Int: (epoch: UInt64, at: Int)] = [:]
    var published: [ClusterMap] = []
    private var elapsed = 0

    init(_ names: [String], configured: [String]? = nil, partitions: Int = 64, policy: ReplicationPolicy = .standard)
        throws
    {
        settings = ControllerSettings(
            cluster: "demo", partitions: partitions, policy: policy, nodes: configured ?? names)
        controller = try Controller(
            settings: settings, backend: backend, logger: FakeCluster.silent, clock: clock.clock)
        nodes = names.enumerated().map { index, name in FakeCluster.process(name, index) }
    }

    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    static func process(_ name: String, _ index: Int) -> FakeNode {
        FakeNode(name: name, incarnation: UInt64(1000 + index), address: "127.0.0.1:\(8001 + index)")
    }

    mutating func restartController(from backend: FakeBackend? = nil) async throws {
        await controller.flush()
        if let backend { self.backend = backend }
        controller = try Controller(
            settings: settings, backend: self.backend, logger: FakeCluster.silent, clock: clock.clock)
    }

    func index(_ name: String) throws -> Int { try #require(nodes.firstIndex { $0.name == name }) }

    mutating func change(_ name: String, _ body: (inout FakeNode) -> Void) throws { body(&nodes[try index(name)]) }

    func map() async throws -> ClusterMap { try #require(await controller.clusterMap) }

    func kinds(_ node: String? = nil) async -> [ClusterEvent.Kind] {
        await controller.events(limit: 1000).events.filter { node == nil || $0.node == node }.map(\.kind)
    }

    /// Lets time pass; every live node sends a heartbeat each 500 ms.
    mutating func run(_ milliseconds: Int) async throws {
        for _ in 0..<(milliseconds / 100) {
            clock.advance(100)
            elapsed += 100
            if elapsed % 500 == 0 {
                for index in nodes.indices where nodes[index].isUp { try await beat(index) }
            }
            await controller.tick(nowMilliseconds: clock.now)
            await notePublished()
        }
    }

    /// Until the condition holds, for at most two minutes of pretended time.
    mutating func run(until condition: (FakeCluster) async throws -> Bool) async throws {
        for _ in 0..<240 {
            if try await condition(self) { return }
            try await run(500)
        }
        Issue.record("the condition was not met in time")
    }

    private mutating func notePublished() async {
        guard let map = await controller.clusterMap, map.epoch != published.last?.epoch else { return }
        published.append(map)
        for (partition, configuration) in map.partitions.enumerated()
        where firstSeen[partition]?.epoch != configuration.epoch {
            firstSeen[partition] = (configuration.epoch, clock.now)
        }
    }

    /// One heartbeat of a node, and what the node does about the answer. `nil` when the controller had none.
    @discardableResult
    mutating func beat(_ index: Int) async throws -> HeartbeatReply? {
        let reply: HeartbeatReply
        do {
            reply = try await controller.heartbeat(heartbeat(of: nodes[index], await controller.clusterMap))
        } catch {
            nodes[index].reason = error.message
            return nil
        }
        nodes[index].verdicts.append(reply.verdict)
        nodes[index].reason = reply.reason
        switch reply.verdict {
        case .welcome:
            if let map = reply.map { nodes[index].mapEpoch = map.epoch }
        case .newIdentity:
            nodes[index].id = reply.node
            nodes[index].cluster = reply.cluster
            nodes[index].mapEpoch = 0
            return try await beat(index)
        case .refused:
            break
        }
        return reply
    }

    func heartbeat(of node: FakeNode, _ map: ClusterMap?) -> Heartbeat {
        Heartbeat(
            name: node.name, node: node.id, cluster: node.cluster, incarnation: node.incarnation, boot: node.boot,
            durable: node.durable, address: node.address, peerAddress: node.address + "0", zone: node.zone,
            mapEpoch: node.mapEpoch, backend: "fake", health: .init(ok: node.isHealthy, reasons: node.reasons),
            keys: keysPerNode, bytesOnDisk: 4096, leading: map.map { leading(node, $0) } ?? [], version: "1.0.0",
            weight: node.weight)
    }

    private func leading(_ node: FakeNode, _ map: ClusterMap) -> [Heartbeat.Leading] {
        let live = Set(nodes.filter { $0.isUp && $0.isHealthy }.map(\.id))
        return map.partitions.enumerated().compactMap { partition, configuration in
            let up = configuration.everyone.filter(live.contains)
            guard up.first == node.id, configuration.isQuorum(up, size: map.policy.writeQuorum) else { return nil }
            let seen = firstSeen[partition]
            let age = seen?.epoch == configuration.epoch ? clock.now - (seen?.at ?? clock.now) : 0
            return Heartbeat.Leading(
                partition: PartitionID(UInt16(partition)), ballot: Ballot(counter: configuration.epoch, node: node.id),
                epoch: configuration.epoch, synced: age >= syncAfter, lagging: [],
                progress: configuration.isJoint && age < syncAfter ? progress(age) : nil)
        }
    }

    private func progress(_ age: Int) -> Heartbeat.Progress {
        if absurdProgress { return Heartbeat.Progress(keys: .max, keysLeft: .max, bytes: .max, bytesLeft: .max) }
        let keys = keysPerPartition * UInt64(age) / UInt64(max(1, syncAfter))
        return Heartbeat.Progress(
            keys: keys, keysLeft: keysPerPartition - keys, bytes: keys * 100, bytesLeft: (keysPerPartition - keys) * 100
        )
    }

    /// What must hold between any two maps that follow each other.
    func checkHistory() {
        for (old, new) in zip(published, published.dropFirst()) {
            #expect(new.epoch > old.epoch)
            for (before, after) in zip(old.partitions, new.partitions) where before != after {
                #expect(after.epoch == before.epoch + 1, "one change per epoch")
                let base = before.previous ?? before.members
                if let previous = after.previous {
                    #expect(previous == base, "the previous set stays during a move")
                } else {
                    let isFinish = after.members == before.members && before.isJoint
                    #expect(isFinish || Set(after.members) == Set(base), "only a finished move replaces members")
                }
                #expect(Set(after.members).count == after.members.count)
            }
        }
    }
}

/// All replicas on live nodes, nothing moving.
func isHealed(_ cluster: FakeCluster) async throws -> Bool {
    let map = try await cluster.map()
    let live = Set(cluster.nodes.filter { $0.isUp && $0.isHealthy }.map(\.id))
    return map.partitions.allSatisfy { partition in
        !partition.isJoint && partition.members.count == min(map.policy.replicas, live.count)
            && partition.members.allSatisfy(live.contains)
    }
}

let four = ["worker1", "worker2", "worker3", "worker4"]
