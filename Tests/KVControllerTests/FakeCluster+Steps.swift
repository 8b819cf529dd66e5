import KVController
import KVProtocols
import Testing

/// A cluster that has its first map.
func started(_ names: [String] = four, partitions: Int = 64) async throws -> FakeCluster {
    var cluster = try FakeCluster(names, partitions: partitions)
    try await cluster.run(3000)
    return cluster
}

/// The same of `worker1` to `worker<count>`, with so few partitions that their numbers can be told by heart.
func started(_ count: Int, partitions: Int = 16) async throws -> FakeCluster {
    try await started((1...count).map { "worker\($0)" }, partitions: partitions)
}

/// What happens to nodes in most stories, and what is asked of them afterwards.
extension FakeCluster {
    mutating func stop(_ names: String...) throws {
        for name in names { try change(name) { $0.isUp = false } }
    }

    mutating func start(_ names: String...) throws {
        for name in names { try change(name) { $0.isUp = true } }
    }

    func events(_ kind: ClusterEvent.Kind) async -> [ClusterEvent] {
        await controller.events(limit: 1000).events.filter { $0.kind == kind }
    }

    func last(_ kind: ClusterEvent.Kind) async throws -> ClusterEvent {
        try #require(await events(kind).last)
    }
}

extension FakeNode {
    /// Its folder was emptied: the process that comes now knows nothing.
    mutating func empty(incarnation: UInt64) {
        self.incarnation = incarnation
        (boot, durable) = (1, 0)
        (id, cluster, mapEpoch) = (NodeID(0), 0, 0)
    }
}
