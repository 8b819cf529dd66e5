import KVBackends
import KVConfiguration
import KVProtocols
import KVStorage
import Logging

/// A node whose backend was exchanged in the configuration: it begins with nothing, in the same folder, and learns its data
/// from the other replicas while the cluster serves. What the folder held is set aside and can be taken back.
struct BackendExchange {
    /// How long the cluster may take to become ready for it: a whole cluster may be starting. Whoever starts processes
    /// again gives it longer.
    static let patience = Duration.seconds(15)
    private static let interval = Duration.milliseconds(500)

    let cluster: ClusterConfiguration
    let configuration: NodeConfiguration
    let logger: Logger

    /// Does nothing unless the folder holds another backend's data.
    /// - Throws: `CommandFailure` when the others can't do without that data, or nobody knows; `StorageError`.
    func prepare() async throws {
        let (path, type) = (configuration.backend.path, configuration.backend.type)
        guard let old = try DataFolder.occupant(of: path), old != type else { return }
        logger.notice(
            "the data folder holds data of another backend than the one configured",
            metadata: ["kv.node": "\(configuration.name)", "found": "\(old)", "configured": "\(type)"])
        try await awaitOthers(old)
        let aside = try DataFolder.setAside(path)
        logger.notice(
            "the old data is set aside, the node relearns it from the others; remove it when the cluster is healthy",
            metadata: ["kv.node": "\(configuration.name)", "folder": "\(aside)", "backend": "\(type)"])
    }

    private func awaitOthers(_ old: String) async throws {
        let client = StoreClient(url: cluster.controller.advertise.description, timeout: .seconds(2))
        let deadline = ContinuousClock.now + BackendExchange.patience
        var told = ""
        while let reason = try await obstacle(client) {
            if reason != told {
                logger.notice("waiting before the old data is set aside", metadata: ["reason": "\(reason)"])
                told = reason
            }
            guard ContinuousClock.now < deadline else {
                throw CommandFailure(
                    .error,
                    "\(configuration.backend.path) holds data of the backend '\(old)', but '\(configuration.backend.type)' is "
                        + "configured. The node may give that data up only while the other replicas are complete: \(reason). "
                        + "Set the type back to '\(old)', wait until `kv health` is well and try again, or convert the data: "
                        + "kv backend convert")
            }
            try await Task.sleep(for: BackendExchange.interval)
        }
    }

    /// Why the data is still needed here; `nil` when it isn't.
    private func obstacle(_ client: StoreClient) async throws -> String? {
        let nodes: NodesDocument
        let partitions: PartitionsDocument
        do throws(CommandFailure) {
            nodes = try await client.document("/nodes", as: NodesDocument.self)
            partitions = try await client.document("/partitions", as: PartitionsDocument.self)
        } catch {
            return "the controller can't be asked (\(error.message))"
        }
        let usable: Set = ["up", "degraded", "draining"]
        return partitions.obstacle(
            toEmptying: configuration.name, working: Set(nodes.nodes.filter { usable.contains($0.state) }.map(\.name)))
    }
}

extension PartitionsDocument {
    /// Why `node` can't begin with nothing: a partition that it holds is not complete on all its other members.
    /// - Parameter working: the nodes that are up.
    func obstacle(toEmptying node: String, working: Set<String>) -> String? {
        let held = partitions.filter { $0.members.contains(node) || $0.previous?.contains(node) == true }
        for partition in held {
            let others = partition.members.filter { $0 != node }
            let name = "partition \(partition.partition)"
            if others.isEmpty { return "\(name) has no other member" }
            if partition.previous != nil { return "\(name) is being moved" }
            if let down = others.first(where: { !working.contains($0) }) {
                return "\(down), which holds \(name), is not up"
            }
            if !partition.synced { return "the members of \(name) are still being compared" }
            if let behind = partition.lagging.first(where: { $0 != node }) { return "\(behind) lags behind in \(name)" }
        }
        return nil
    }
}
