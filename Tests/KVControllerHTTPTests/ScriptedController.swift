import KVController
import KVControllerHTTP
import KVProtocols
import Synchronization

/// A controller whose answers are scripted, and which remembers what it was asked.
final class ScriptedController: ControllerService {
    struct Health: Encodable, Sendable {
        var status = "controller up"
        var workersCount = 4
        var verdict = "ok"

        private enum CodingKeys: String, CodingKey {
            case status, verdict
            case workersCount = "workers_count"
        }
    }

    struct Nodes: Encodable, Sendable {
        struct Node: Encodable, Sendable {
            var name: String
            var age: Int

            private enum CodingKeys: String, CodingKey {
                case name
                case age = "last_heartbeat_ms_ago"
            }
        }
        var nodes: [Node]
    }

    struct Partitions: Encodable, Sendable {
        var partitions: [[String: Int]] = []
        var summary = ["total": 64]
        var work = [["partitions_left": 3]]
    }

    struct Script: Sendable {
        var verdict = "ok"
        var endpoints: [NodeEndpoint] = []
        var events: [ClusterEvent] = []
        var asked: [String] = []
        var error: ControllerError?
        var age = 0
    }

    let script = Mutex(Script())

    private func ask(_ what: String) throws {
        try script.withLock { script in
            script.asked.append(what)
            if let error = script.error { throw error }
        }
    }

    func healthAnswer() async -> any Encodable & Sendable {
        Health(verdict: script.withLock { $0.verdict })
    }

    func nodesAnswer() async -> any Encodable & Sendable {
        let age = script.withLock { script in
            script.age += 1
            return script.age
        }
        return Nodes(nodes: [.init(name: "worker1", age: age)])
    }

    func partitionsAnswer() async -> any Encodable & Sendable { Partitions() }

    func nodeAnswer(_ name: String) async throws -> any Encodable & Sendable {
        guard name.hasPrefix("worker") else { throw ControllerError(.unknownNode, "no node named \(name)") }
        return Nodes.Node(name: name, age: 0)
    }

    func mapAnswer() async throws -> any Encodable & Sendable {
        try ask("map")
        return ["epoch": 7]
    }

    func mapAnswer(key: String) async throws -> any Encodable & Sendable {
        try ask("map \(key)")
        return ["key": key]
    }

    func recentEvents(after: UInt64?, limit: Int) async -> [ClusterEvent] {
        script.withLock { script in
            guard let after else { return Array(script.events.suffix(limit)) }
            return Array(script.events.filter { $0.id > after }.prefix(limit))
        }
    }

    func reachableNodes() async -> [NodeEndpoint] { script.withLock { $0.endpoints } }

    func figures() async -> ControllerFigures {
        ControllerFigures(
            mapEpoch: 7, nodesUp: 3, nodesTotal: 4, partitionsOK: 60, partitionsMoving: 1,
            partitionsUnderReplicated: 2, partitionsLeaderless: 1)
    }

    func drainNode(_ name: String) async throws { try ask("drain \(name)") }
    func undrainNode(_ name: String) async throws { try ask("undrain \(name)") }
    func removeNode(_ name: String) async throws { try ask("remove \(name)") }

    func acknowledgeLosses() async throws -> [String] {
        try ask("acknowledge")
        return ["worker1", "worker2"]
    }

    func receive(_ heartbeat: Heartbeat) async throws -> HeartbeatReply {
        try ask("heartbeat \(heartbeat.name)")
        return HeartbeatReply(verdict: .welcome, cluster: 9, node: NodeID(1))
    }

    func record(_ id: UInt64) {
        script.withLock {
            $0.events.append(
                ClusterEvent(id: id, time: "2026-01-01T00:00:00.000Z", kind: .nodeUp, severity: .info, message: "up"))
        }
    }
}
