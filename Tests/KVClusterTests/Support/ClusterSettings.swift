/// What a test's cluster is like; the configuration file follows from it.
struct ClusterSettings: Sendable {
    var name = "test"
    /// One node per entry: `worker1`, `worker2`, ...
    var backends = [String](repeating: "file", count: 4)
    var controllerBackend = "file"
    var partitions = 16
    /// `nil` for what the program takes by itself.
    var replication: String?
    var heartbeat = 200
    var failAfter = 1_500
    var replaceAfter = 1_500
    /// Data folders that are not `data/NAME`, by name of the node.
    var folders: [String: String] = [:]
    /// JSON objects, by name of the node.
    var limits: [String: String] = [:]

    /// Nodes that keep their replicas however long they are down.
    static var withoutMoves: ClusterSettings {
        var settings = ClusterSettings()
        settings.replaceAfter = 3_600_000
        return settings
    }

    static func all(_ backend: String) -> ClusterSettings {
        var settings = ClusterSettings()
        settings.backends = [String](repeating: backend, count: 4)
        return settings
    }

    var nodes: [String] { backends.indices.map { "worker\($0 + 1)" } }

    struct Addresses: Sendable {
        var controller = Ports.free()
        var listen: [Int]
        var peer: [Int]
    }

    func addresses() -> Addresses {
        Addresses(listen: backends.map { _ in Ports.free() }, peer: backends.map { _ in Ports.free() })
    }

    func json(_ addresses: Addresses) -> String {
        let nodes = zip(self.nodes, backends).enumerated().map { index, node in
            let (name, backend) = node
            let path = folders[name] ?? "data/\(name)"
            let limits = self.limits[name].map { ", \"limits\": \($0)" } ?? ""
            return """
                {"name": "\(name)", "listen": "127.0.0.1:\(addresses.listen[index])",
                 "peer_listen": "127.0.0.1:\(addresses.peer[index])",
                 "backend": {"type": "\(backend)", "path": "\(path)"}\(limits)}
                """
        }
        return """
            {
              "cluster": {"name": "\(name)", "partitions": \(partitions),
                \(replication.map { "\"replication\": \($0)," } ?? "")
                "heartbeat_ms": \(heartbeat), "fail_after_ms": \(failAfter), "replace_after_ms": \(replaceAfter)},
              "controller": {"listen": "127.0.0.1:\(addresses.controller)",
                "backend": {"type": "\(controllerBackend)", "path": "data/controller"}},
              "nodes": [\(nodes.joined(separator: ",\n"))]
            }
            """
    }
}
