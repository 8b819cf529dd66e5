import Foundation
import Testing

/// Servers that can't, or must not, start: each says why and what to do, and touches nothing.
@Suite struct StartTests {
    @Test func `a wrong configuration is refused as a whole, every problem with its place`() async throws {
        try await Cluster.with(starting: false) { cluster in
            let text = try String(contentsOfFile: cluster.configuration, encoding: .utf8)
                .replacing("\"heartbeat_ms\"", with: "\"hartbeat_ms\"")
                .replacing("\"partitions\": 16", with: "\"partitions\": 17, \"replication\": {\"write_quorum\": 4}")
                .replacing(
                    "\"type\": \"file\", \"path\": \"data/worker2\"",
                    with: "\"type\": \"fiel\", \"path\": \"data/worker1\"")
            try text.write(toFile: cluster.configuration, atomically: true, encoding: .utf8)
            let commands = [
                ["config", "check"], ["up"], ["controller"], ["node", "--name", "worker1"],
            ]
            for command in commands {
                let result = try await run(
                    cluster.executable, command + ["--config", cluster.configuration], log: "\(cluster.folder)/command",
                    folder: cluster.folder, within: .seconds(30))
                #expect(result.status == 1, "\(command): \(result.errors)")
                for expected in [
                    "$.cluster.hartbeat_ms", "did you mean \"heartbeat_ms\"?", "$.cluster.partitions", "power of two",
                    "$.cluster.replication.write_quorum", "use 1 to 3", "$.nodes[1].backend.type",
                    "did you mean \"file\"?", "cluster.json:",
                ] { #expect(result.errors.contains(expected), "\(expected) is not in: \(result.errors)") }
            }
            #expect(!FileManager.default.fileExists(atPath: "\(cluster.folder)/data"))

            let absent = try await cluster.failing("up", "--config", "\(cluster.folder)/absent.json")
            #expect(absent.status == 1 && absent.errors.contains("absent.json"))
            try "{\"cluster\": {\n  \"name\" 1}}".write(
                toFile: cluster.configuration, atomically: true, encoding: .utf8)
            let malformed = try await cluster.failing("config", "check", cluster.configuration)
            #expect(malformed.status == 1 && malformed.errors.contains("cluster.json:2:"), "\(malformed.errors)")
        }
    }

    @Test func `a port in use is named`() async throws {
        try await Cluster.with(starting: false) { cluster in
            let ports = [
                (cluster.addresses.controller, ["controller"]),
                (cluster.addresses.listen[0], ["node", "--name", "worker1"]),
                (cluster.addresses.peer[1], ["node", "--name", "worker2"]),
            ]
            for (port, command) in ports {
                let holder = try #require(Listener(port))
                defer { holder.close() }
                let result = try await run(
                    cluster.executable, command + ["--config", cluster.configuration], log: "\(cluster.folder)/command",
                    folder: cluster.folder, within: .seconds(30))
                #expect(result.status == 1, "\(command): \(result.errors)")
                #expect(result.errors.contains("127.0.0.1:\(port)"), "\(result.errors)")
                #expect(result.errors.contains("in use"), "\(result.errors)")
            }
            // What was refused left nothing behind that keeps the right start from working.
            try await cluster.start()
        }
    }

    @Test func `a data folder serves one process, one node, one backend and one cluster`() async throws {
        try await Cluster.with(.withoutMoves) { cluster in
            let log = WriteLog()
            for index in 0..<40 { #expect(await log.put("key-\(index)", "kept", to: cluster.node("worker1")) == 200) }

            let twice = try await cluster.failing("node", "--name", "worker1", "--config", cluster.configuration)
            #expect(twice.status == 1)
            #expect(twice.errors.contains("uses the data folder"), "\(twice.errors)")
            let id = try #require(cluster.process("worker1")?.id)
            #expect(twice.errors.contains("process \(id)"), "\(twice.errors)")
            #expect(try await cluster.node("worker1").get("/readyz").status == 200)

            let controllerTwice = try await cluster.failing("controller", "--config", cluster.configuration)
            #expect(controllerTwice.status == 1 && controllerTwice.errors.contains("uses the data folder"))

            try await otherBackend(cluster)
            try await otherNode(cluster)
            try await cluster.healthy()
            try await log.verify(at: cluster.servers())
            try await otherCluster(cluster)
        }
    }

    /// A backend that can't be what is configured leaves the data of the one before where it is; see `MovingDataTests`.
    private func otherBackend(_ cluster: Cluster) async throws {
        let text = try String(contentsOfFile: cluster.configuration, encoding: .utf8)
        let path = "\(cluster.folder)/other.json"
        let data = "\(cluster.folder)/data/worker1"
        let backends = [
            ("\"type\": \"lmdb\"", "uses the data folder"),
            ("\"type\": \"memory\"", "allow_volatile_storage"),
            ("\"type\": \"lmdb\", \"options\": {\"map_bytes\": 1}", "map_bytes"),
        ]
        for (index, (backend, expected)) in backends.enumerated() {
            if index == 1 {
                for node in ["worker1", "worker2"] { #expect(await cluster.stop(node) == 0) }
            }
            // The first time the node runs, and moves records into its folder as it should.
            let watched = { (name: String) in index > 0 || name == ".backend-type" }
            let before = try FileManager.default.contentsOfDirectory(atPath: data).filter(watched).sorted()
            #expect(before.contains(".backend-type"))
            try text.replacing(
                "\"type\": \"file\", \"path\": \"data/worker1\"", with: "\(backend), \"path\": \"data/worker1\""
            )
            .write(toFile: path, atomically: true, encoding: .utf8)
            let result = try await cluster.failing("node", "--name", "worker1", "--config", path)
            #expect(result.status == 1 && result.errors.contains(expected), "\(result.errors)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: data).filter(watched).sorted() == before)
            #expect(!FileManager.default.fileExists(atPath: "\(data)/.kv/trial"))
        }

        try FileManager.default.createDirectory(
            atPath: "\(cluster.folder)/documents", withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        try "mine".write(toFile: "\(cluster.folder)/documents/letter", atomically: true, encoding: .utf8)
        let foreign = try await cluster.failing(
            "node", "--name", "worker1", "--config", cluster.configuration, "--data", "documents")
        #expect(foreign.status == 1 && foreign.errors.contains("letter"), "\(foreign.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(cluster.folder)/documents") == ["letter"])
    }

    /// worker1 and worker2 on each other's folders.
    private func otherNode(_ cluster: Cluster) async throws {
        let flag = try await cluster.failing(
            "node", "--name", "worker2", "--config", cluster.configuration, "--data", "data/worker1")
        #expect(flag.status == 1 && flag.errors.contains("is already the data folder"), "\(flag.errors)")

        try swapFolders(cluster)
        for (name, owner) in [("worker1", "worker2"), ("worker2", "worker1")] {
            let result = try await cluster.failing("node", "--name", name, "--config", cluster.configuration)
            #expect(result.status == 1)
            #expect(result.errors.contains("belongs to node '\(owner)', not to '\(name)'"), "\(result.errors)")
        }
        try swapFolders(cluster)
        try cluster.start("worker1")
        try cluster.start("worker2")
    }

    private func swapFolders(_ cluster: Cluster) throws {
        let data = "\(cluster.folder)/data"
        let moves = [("worker1", "other"), ("worker2", "worker1"), ("other", "worker2")]
        for (from, to) in moves { try FileManager.default.moveItem(atPath: "\(data)/\(from)", toPath: "\(data)/\(to)") }
    }

    /// All but worker1 begin anew as another cluster.
    private func otherCluster(_ cluster: Cluster) async throws {
        for name in cluster.nodes + ["controller"] { #expect(await cluster.stop(name) == 0) }
        for name in cluster.nodes.dropFirst() + ["controller"] {
            try FileManager.default.removeItem(atPath: "\(cluster.folder)/data/\(name)")
        }
        for name in ["controller"] + cluster.nodes { try cluster.start(name) }
        try await eventually("worker1 is refused, with the reason") {
            let ready = try await cluster.node("worker1").get("/readyz")
            return ready.status == 503 && ready.text.contains("belongs to another cluster")
        }
        try await eventually("the others are a cluster") {
            try await cluster.node("worker2").put("new", "value").status == 200
        }
        #expect(try await cluster.node("worker2").get("/kv/key-1").status == 404)
        let old = try FileManager.default.contentsOfDirectory(atPath: "\(cluster.folder)/data/worker1")
        #expect(old.contains { $0.hasPrefix("key-") }, "the old cluster's data is gone")
    }
}
