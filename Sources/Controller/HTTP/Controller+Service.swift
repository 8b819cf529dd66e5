public import KVController
public import KVProtocols

extension Controller: ControllerService {
    public func healthAnswer() async -> any Encodable & Sendable { health() }
    public func nodesAnswer() async -> any Encodable & Sendable { nodes() }
    public func partitionsAnswer() async -> any Encodable & Sendable { partitions() }
    public func nodeAnswer(_ name: String) async throws -> any Encodable & Sendable { try node(name) }
    public func mapAnswer() async throws -> any Encodable & Sendable { try map() }
    public func mapAnswer(key: String) async throws -> any Encodable & Sendable { try map(key: key) }

    public func recentEvents(after: UInt64?, limit: Int) async -> [ClusterEvent] {
        events(after: after, limit: limit).events
    }

    public func reachableNodes() async -> [NodeEndpoint] {
        liveNodes().map { NodeEndpoint(name: $0.name, address: $0.address) }
    }

    public func figures() async -> ControllerFigures {
        let health = health()
        return ControllerFigures(
            mapEpoch: health.mapEpoch, nodesUp: health.nodes.up, nodesTotal: health.nodes.total,
            partitionsOK: health.partitions.ok, partitionsMoving: health.partitions.moving,
            partitionsUnderReplicated: health.partitions.underReplicated,
            partitionsLeaderless: health.partitions.leaderless)
    }

    public func drainNode(_ name: String) async throws { try drain(name) }
    public func undrainNode(_ name: String) async throws { try undrain(name) }
    public func removeNode(_ name: String) async throws { try remove(name) }
    public func acknowledgeLosses() async throws -> [String] { try acknowledgeAlarm() }
    public func receive(_ message: Heartbeat) async throws -> HeartbeatReply { try heartbeat(message) }
}
