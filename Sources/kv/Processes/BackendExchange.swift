import Foundation
import KVBackends
import KVConfiguration
import KVProtocols
import KVStorage
import Logging

/// A node whose backend was exchanged in the configuration: it begins with nothing, in the same folder, and learns its data
/// from the other replicas while the cluster serves. What the folder held is set aside and can be taken back.
struct BackendExchange {
    private static let interval = Duration.milliseconds(500)

    let cluster: ClusterConfiguration
    let configuration: NodeConfiguration
    let logger: Logger

    /// Does nothing unless the folder holds another backend's data, or is being set aside. Otherwise it first waits, without end, until the others
    /// can do without that data.
    /// - Throws: `StorageError` when the new engine can't be opened here, or the old data can't be moved.
    func prepare() async throws {
        let (path, type) = (configuration.backend.path, configuration.backend.type)
        let old = try DataFolder.occupant(of: path)
        // Half moved by a process that ended: whatever the type is now, opening the folder would move the rest.
        let isInterrupted = try DataFolder.isBeingSetAside(path)
        guard isInterrupted || (old != nil && old != type) else { return }
        logger.notice(
            "the data folder holds data of another backend than the one configured, or half of it is set aside",
            metadata: [
                "kv.node": "\(configuration.name)", "found": "\(old ?? "none")", "configured": "\(type)",
                "half": "\(isInterrupted)",
            ])
        try tryEngine()
        try await awaitOthers()
        let aside = try DataFolder.setAside(path)
        logger.notice(
            "the old data is set aside, the node relearns it from the others; remove it when the cluster is healthy",
            metadata: ["kv.node": "\(configuration.name)", "folder": "\(aside)", "backend": "\(type)"])
    }

    /// Opens the new engine on the same disk, in a folder that is nobody's content: what is wrong with it must come out
    /// while the old data is still in its place.
    private func tryEngine() throws {
        let trial = "\(configuration.backend.path)/.kv/trial"
        try removeTrial(trial)
        try FileManager.default.createDirectory(
            atPath: trial, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        let backend = try BackendRegistry.open(
            type: configuration.backend.type,
            BackendContext(path: trial, partitions: cluster.partitions, options: configuration.backend.options))
        let outcome = Result { () throws(StorageError) in
            try ServerProcess.requireDurable(backend, type: configuration.backend.type, in: cluster)
        }
        try backend.close()
        try removeTrial(trial)
        try outcome.get()
    }

    private func removeTrial(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        try FileManager.default.removeItem(atPath: path)
    }

    /// Until nothing has spoken against it for so long that nothing is left of what the controller knew before: nodes that
    /// are restarted together must not take each other for up.
    private func awaitOthers() async throws {
        let client = StoreClient(url: cluster.controller.advertise.description, timeout: .seconds(2))
        let proof = cluster.failAfter + cluster.heartbeat * 2
        var clearSince: ContinuousClock.Instant?
        var told = ""
        while true {
            let now = ContinuousClock.now
            if let reason = await obstacle(client) {
                clearSince = nil
                if reason != told { tell(reason) }
                told = reason
            } else {
                let since = clearSince ?? now
                clearSince = since
                if now - since > proof { return }
            }
            try await Task.sleep(for: BackendExchange.interval)
        }
    }

    private func tell(_ reason: String) {
        logger.warning(
            """
            the node waits: it may give its old data up only while the other replicas are complete. Or set the type back, or \
            convert the data: kv backend convert
            """,
            metadata: ["kv.node": "\(configuration.name)", "reason": "\(reason)"])
    }

    /// Why the data is still needed here; `nil` when it isn't.
    private func obstacle(_ client: StoreClient) async -> String? {
        do throws(CommandFailure) {
            let health = try await client.document("/health", as: HealthDocument.self)
            let nodes = try await client.document("/nodes", as: NodesDocument.self)
            let partitions = try await client.document("/partitions", as: PartitionsDocument.self)
            return obstacle(health, nodes)
                ?? partitions.obstacle(
                    toEmptying: configuration.name, working: nodes.names(in: ["up", "draining"]), policy: cluster.policy
                )
        } catch {
            return "the controller can't be asked (\(error.message))"
        }
    }

    /// A controller that lost its state, or got an old one back, knows nothing of the data here.
    private func obstacle(_ health: HealthDocument, _ nodes: NodesDocument) -> String? {
        guard ["ok", "degraded"].contains(health.verdict) else {
            return "the cluster is \(health.verdict)" + (health.reasons.first.map { ": \($0)" } ?? "")
        }
        guard !nodes.names(in: ["waiting", "failed"]).contains(configuration.name),
            nodes.nodes.contains(where: { $0.name == configuration.name })
        else { return "the controller has no member \(configuration.name), or refuses it" }
        return nil
    }
}

extension NodesDocument {
    func names(in states: Set<String>) -> Set<String> {
        Set(nodes.filter { states.contains($0.state) }.map(\.name))
    }
}

extension PartitionsDocument {
    /// Why `node` can't begin with nothing: a partition that it holds is not complete on all its other members, or those
    /// are too few to serve without it.
    /// - Parameter working: the nodes that are up and can store.
    func obstacle(toEmptying node: String, working: Set<String>, policy: ReplicationPolicy) -> String? {
        if partitions.isEmpty { return "there is no cluster map yet" }
        let held = partitions.filter { $0.members.contains(node) || $0.previous?.contains(node) == true }
        for partition in held {
            let others = partition.members.filter { $0 != node }
            let name = "partition \(partition.partition)"
            if partition.previous != nil { return "\(name) is being moved" }
            let quorum = max(
                policy.writeQuorum(of: partition.members.count), policy.readQuorum(of: partition.members.count))
            if others.count < quorum { return "\(name) has too few other members to serve without this one" }
            if let down = others.first(where: { !working.contains($0) }) {
                return "\(down), which holds \(name), is not up"
            }
            if !partition.synced { return "the members of \(name) are still being compared" }
            if let behind = partition.lagging.first(where: { $0 != node }) { return "\(behind) lags behind in \(name)" }
        }
        return nil
    }
}
