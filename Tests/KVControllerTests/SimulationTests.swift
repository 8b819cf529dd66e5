import KVController
import KVPlacement
import KVProtocols
import Testing

/// Random failures, and what must hold whatever happens. Deterministic per seed.
@Suite struct SimulationTests {
    struct Random {
        var state: UInt64

        mutating func next(below bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
    }

    /// What a person does in between; the controller may well refuse it.
    private func operate(_ cluster: FakeCluster, _ number: Int, on node: String) async {
        do {
            switch number {
            case 10: try await cluster.controller.drain(node)
            case 11: try await cluster.controller.undrain(node)
            default: try await cluster.controller.acknowledgeAlarm()
            }
        } catch {
            #expect([.conflict, .notReady, .unknownNode].contains(error.code))
        }
    }

    @Test(arguments: 1...12)
    func everyMapFollowsFromTheOneBeforeAndAllHealsInTheEnd(seed: Int) async throws {
        var random = Random(state: UInt64(seed))
        let count = 4 + random.next(below: 4)
        var cluster = try FakeCluster((1...count).map { "worker\($0)" }, partitions: 32)
        cluster.syncAfter = [200, 1000, 4000][random.next(below: 3)]
        try await cluster.run(3000)
        var nextIncarnation: UInt64 = 10_000
        for _ in 0..<40 {
            let index = random.next(below: count)
            switch random.next(below: 13) {
            case 0...3: cluster.nodes[index].isUp = false
            case 4...6: cluster.nodes[index].isUp = true
            case 7: cluster.nodes[index].boot += 1
            case 8:
                nextIncarnation += 1
                cluster.nodes[index].incarnation = nextIncarnation
                (cluster.nodes[index].id, cluster.nodes[index].cluster) = (NodeID(0), 0)
            case 9: try await cluster.restartController()
            case let number: await operate(cluster, number, on: "worker\(index + 1)")
            }
            try await cluster.run(500 * (1 + random.next(below: 24)))
        }
        cluster.checkHistory()
        for index in cluster.nodes.indices { cluster.nodes[index].isUp = true }
        for node in cluster.nodes { await operate(cluster, 11, on: node.name) }
        try await cluster.run(20_000)
        // A folder that was emptied while the others were down is refused until a person acts: here it is "put back".
        let map = try await cluster.map()
        for index in cluster.nodes.indices where cluster.nodes[index].verdicts.last == .refused {
            guard let info = map.node(named: cluster.nodes[index].name) else { continue }
            cluster.nodes[index].incarnation = info.incarnation
            cluster.nodes[index].boot = info.boot
            (cluster.nodes[index].id, cluster.nodes[index].cluster) = (info.id, map.cluster)
        }
        try await cluster.run(until: isHealed)
        try await cluster.run(30_000)
        #expect(try await isHealed(cluster))
        cluster.checkHistory()
        #expect(await cluster.controller.partitions().work.isEmpty, "what began has ended")
        let replicas = await cluster.controller.nodes().nodes.map(\.replicas)
        let spread = try #require(replicas.max()) - (try #require(replicas.min()))
        #expect(spread <= 3, "seed \(seed): \(replicas)")
    }
}
