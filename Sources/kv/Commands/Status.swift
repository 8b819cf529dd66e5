import ArgumentParser

/// `kv status`
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Say how the cluster is, problems first.")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await target.client.request(.get, "/health")
        if output.output == .json { return answer.printJSON() }
        let health = try target.client.decode(HealthDocument.self, from: answer)
        let nodes = try await target.client.document("/nodes", as: NodesDocument.self)
        Terminal.print("cluster \(Terminal.printable(health.cluster)): \(health.verdict), map \(health.mapEpoch)")
        for reason in health.reasons { Terminal.print("  \(Terminal.printable(reason))") }
        let partitions = health.partitions
        Terminal.print(
            "partitions: \(partitions.total), ok \(partitions.ok), moving \(partitions.moving), under-replicated "
                + "\(partitions.underReplicated), leaderless \(partitions.leaderless)")
        nodes.table.print()
    }
}

/// `kv nodes`
struct Nodes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the nodes, problems first.")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await target.client.request(.get, "/nodes")
        if output.output == .json { return answer.printJSON() }
        try target.client.decode(NodesDocument.self, from: answer).table.print()
    }
}

extension NodesDocument {
    fileprivate var table: Table {
        var table = Table("node", "state", "address", "backend", "keys", "bytes", "replicas", "leading", "heard", "why")
        for node in nodes {
            table.add(
                node.name, node.state, node.address, node.backend, String(node.keys), String(node.bytesOnDisk),
                String(node.replicas), String(node.leading), node.lastHeartbeatMsAgo.map { "\($0) ms ago" } ?? "never",
                node.reasons.joined(separator: "; "))
        }
        return table
    }
}
