public import KVController
public import KVProtocols

/// What the HTTP interface needs of a controller. `Controller` is one; tests have others. Safe from any thread.
///
/// The values are encoded as they are: their keys are the keys of the answers.
public protocol ControllerService: Sendable {
    func healthAnswer() async -> any Encodable & Sendable
    func nodesAnswer() async -> any Encodable & Sendable
    func partitionsAnswer() async -> any Encodable & Sendable
    /// - Throws: `ControllerError.unknownNode`.
    func nodeAnswer(_ name: String) async throws -> any Encodable & Sendable
    /// - Throws: `ControllerError.notReady` before the first map.
    func mapAnswer() async throws -> any Encodable & Sendable
    /// - Throws: `ControllerError`: `.badKey` for a text that is no key, `.notReady` before the first map.
    func mapAnswer(key: String) async throws -> any Encodable & Sendable
    /// Up to `limit` events after number `after`, or the newest ones; oldest first.
    func recentEvents(after: UInt64?, limit: Int) async -> [ClusterEvent]
    /// Nodes that are up, with the addresses of their HTTP servers.
    func reachableNodes() async -> [NodeEndpoint]
    func figures() async -> ControllerFigures

    /// - Throws: `ControllerError`.
    func drainNode(_ name: String) async throws
    /// - Throws: `ControllerError`.
    func undrainNode(_ name: String) async throws
    /// - Throws: `ControllerError`.
    func removeNode(_ name: String) async throws
    /// A person says that nodes that were lost at once shall be replaced.
    /// - Returns: their names.
    /// - Throws: `ControllerError.conflict` when there is no such alarm.
    func acknowledgeLosses() async throws -> [String]
    /// - Throws: `ControllerError`: the node asks again.
    func receive(_ heartbeat: Heartbeat) async throws -> HeartbeatReply
}

/// A node that requests can be passed on to.
public struct NodeEndpoint: Hashable, Sendable {
    public var name: String
    /// `host:port` of its HTTP server.
    public var address: String

    public init(name: String, address: String) {
        self.name = name
        self.address = address
    }
}

/// Figures for metrics.
public struct ControllerFigures: Hashable, Sendable {
    public var mapEpoch: UInt64
    public var nodesUp: Int
    public var nodesTotal: Int
    public var partitionsOK: Int
    public var partitionsMoving: Int
    public var partitionsUnderReplicated: Int
    public var partitionsLeaderless: Int

    public init(
        mapEpoch: UInt64, nodesUp: Int, nodesTotal: Int, partitionsOK: Int, partitionsMoving: Int,
        partitionsUnderReplicated: Int, partitionsLeaderless: Int
    ) {
        self.mapEpoch = mapEpoch
        self.nodesUp = nodesUp
        self.nodesTotal = nodesTotal
        self.partitionsOK = partitionsOK
        self.partitionsMoving = partitionsMoving
        self.partitionsUnderReplicated = partitionsUnderReplicated
        self.partitionsLeaderless = partitionsLeaderless
    }
}
