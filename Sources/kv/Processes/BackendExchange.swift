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
    /// - Throws: `StorageError` when the folder is in use or was converted, the new engine can't be opened here, or the old
    ///   data can't be moved; `CancellationError`.
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
        // What can't be set aside is refused now rather than after a wait that may have no end.
        let claim = try DataFolder.claim(path)
        try tryEngine()
        claim.release()
        try await awaitOthers()
        let aside = try DataFolder.setAside(path)
        logger.notice(
            "the old data is set aside, the node relearns it from the others; remove it when the cluster is healthy",
            metadata: ["kv.node": "\(configuration.name)", "folder": "\(aside)", "backend": "\(type)"])
    }

    private func tryEngine() throws(StorageError) {
        let backend = configuration.backend
        try EngineTrial.run(in: backend.path) { path throws(StorageError) in
            try BackendRegistry.open(
                type: backend.type,
                BackendContext(path: path, partitions: cluster.partitions, options: backend.options))
        } check: { engine throws(StorageError) in
            try ServerProcess.requireDurable(engine, type: backend.type, in: cluster)
        }
    }

    /// Until nothing has spoken against it for so long that nothing is left of what the controller knew before: nodes that
    /// are restarted together must not take each other for up.
    private func awaitOthers() async throws {
        let client = StoreClient(url: cluster.controller.advertise.description, timeout: .seconds(2))
        try await BackendExchange.awaitOthers(
            clearFor: cluster.failAfter + cluster.heartbeat * 2, now: { .now }, obstacle: { await obstacle(client) },
            tell: tell, pause: { try await Task.sleep(for: BackendExchange.interval) })
    }

    /// - Parameters:
    ///   - proof: for so long nothing must have been in the way, without a break.
    ///   - tell: is told what is in the way whenever that changes.
    static func awaitOthers(
        clearFor proof: Duration, now: () -> ContinuousClock.Instant, obstacle: () async -> String?,
        tell: (String) -> Void, pause: () async throws -> Void
    ) async throws {
        var clearSince: ContinuousClock.Instant?
        var told = ""
        while true {
            let asked = now()
            if let reason = await obstacle() {
                clearSince = nil
                if reason != told { tell(reason) }
                told = reason
            } else {
                let since = clearSince ?? asked
                clearSince = since
                if asked - since > proof { return }
            }
            try await pause()
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
            return BackendExchange.obstacle(of: configuration.name, health, nodes)
                ?? partitions.obstacle(
                    toEmptying: configuration.name, working: nodes.names(in: ["up", "draining"]), policy: cluster.policy
                )
        } catch {
            return "the controller can't be asked (\(error.message))"
        }
    }

    /// Why what the controller says is no reason for the node `name` to give anything up: one that lost its state, got an
    /// old one back, or can't keep what it learns, knows nothing for sure of the data here.
    static func obstacle(of name: String, _ health: HealthDocument, _ nodes: NodesDocument) -> String? {
        guard ["ok", "degraded"].contains(health.verdict) else {
            return "the cluster is \(health.verdict)" + (health.reasons.first.map { ": \($0)" } ?? "")
        }
        guard let storable = health.storable else {
            return "the controller doesn't say whether it can store its state; is it of an older version?"
        }
        if !storable { return "the controller can't store its state" }
        if let lost = health.alarm {
            return
                "\(lost.joined(separator: ", ")) were lost at once, and nobody replaces them before they are back or "
                + "the alarm is acknowledged"
        }
        guard !nodes.names(in: ["waiting", "failed"]).contains(name), nodes.nodes.contains(where: { $0.name == name })
        else { return "the controller has no member \(name), or refuses it" }
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
