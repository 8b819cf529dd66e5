import Foundation
import Testing

/// Data that changes its engine, its folder, or its cluster.
@Suite struct MovingDataTests {
    private func fill(_ cluster: Cluster, _ log: WriteLog, count: Int = 96) async throws {
        let servers = cluster.servers()
        try await concurrently(0..<count) { index in
            #expect(await log.put("key-\(index)", "value \(index)", to: servers[index % servers.count]) == 200)
        }
    }

    private func works(_ cluster: Cluster, _ log: WriteLog, at node: String) async throws {
        try await cluster.healthy()
        for index in 0..<96 {
            try await eventually("key-\(index) is the same everywhere") { try await cluster.agrees("key-\(index)") }
        }
        try await log.verify(at: [cluster.node(node)])
    }

    @Test func `a backend exchanged in the configuration is filled from the other replicas while the cluster serves`()
        async throws
    {
        try await Cluster.with(.all("file")) { cluster in
            let log = WriteLog()
            try await fill(cluster, log)
            let others = cluster.servers(without: ["worker2"])
            #expect(await cluster.stop("worker2") == 0)
            try cluster.setBackend(of: "worker2", type: "lmdb", path: "data/worker2")
            try cluster.start("worker2")
            try await concurrently(0..<96) { index in
                try await eventually("key-\(index) can be written meanwhile") {
                    await log.put("key-\(index)", "newer \(index)", to: others[index % 3], timeout: 500) == 200
                }
            }
            try await eventually("worker2 works with its new backend") {
                let node = try await cluster.controller.get("/nodes/worker2").json
                return node["backend"].string == "lmdb" && node["state"].string == "up"
                    && (node["replicas"].integer ?? 0) > 0
            }
            #expect(try await cluster.events(about: "worker2").contains("node_replaced"))
            try await works(cluster, log, at: "worker2")
            let aside = "\(cluster.folder)/data/worker2/.kv-old-file"
            #expect(try FileManager.default.contentsOfDirectory(atPath: aside).contains { $0.hasPrefix("key-") })
        }
    }

    /// Nobody may throw away what the others don't have.
    @Test func `a backend exchanged while the other replicas are not complete waits`() async throws {
        try await Cluster.with(.withoutMoves) { cluster in
            let log = WriteLog()
            try await fill(cluster, log)
            await cluster.kill("worker1")
            #expect(await cluster.stop("worker2") == 0)
            try cluster.setBackend(of: "worker2", type: "lmdb", path: "data/worker2")
            try cluster.start("worker2")
            try await eventually("worker2 says what it waits for") {
                cluster.log("worker2").contains("worker1, which holds partition")
            }
            let content = try FileManager.default.contentsOfDirectory(atPath: "\(cluster.folder)/data/worker2")
            #expect(content.contains { $0.hasPrefix("key-") })
            #expect(!content.contains(".kv-old-file"))
            try cluster.start("worker1")
            try await eventually("worker2 works with its new backend") {
                let node = try await cluster.controller.get("/nodes/worker2").json
                return node["backend"].string == "lmdb" && node["state"].string == "up"
            }
            try await works(cluster, log, at: "worker2")
        }
    }

    @Test func `a converted node goes on where it stopped`() async throws {
        try await Cluster.with(.withoutMoves) { cluster in
            let log = WriteLog()
            try await fill(cluster, log)
            #expect(await cluster.stop("worker3") == 0)
            let converted = try await cluster.command(
                "backend", "convert", "--from", "data/worker3", "--to", "sqlite:data/worker3-sqlite")
            #expect(converted.status == 0, "\(converted.errors)")
            let again = try await cluster.failing("node", "--config", cluster.configuration, "--name", "worker3")
            #expect(again.status == 1 && again.errors.contains("data/worker3-sqlite"), "\(again.errors)")
            // With yet another type too, and at once: without a controller a node that may wait for the others would.
            #expect(await cluster.stop("controller") == 0)
            try cluster.setBackend(of: "worker3", type: "lmdb", path: "data/worker3")
            let other = try await cluster.failing("node", "--config", cluster.configuration, "--name", "worker3")
            #expect(other.status == 1 && other.errors.contains("data/worker3-sqlite"), "\(other.errors)")
            try cluster.start("controller")
            try cluster.setBackend(of: "worker3", type: "sqlite", path: "data/worker3-sqlite")
            try cluster.start("worker3")
            try await works(cluster, log, at: "worker3")
            // Nothing was learned anew: it is the member that it was.
            #expect(try await !cluster.events(about: "worker3").contains("node_replaced"))
        }
    }

    @Test func `a snapshot of a cluster is restored into one of another shape`() async throws {
        let (file, content) = (try TestFolder(), WriteLog())
        defer { file.remove() }
        let path = "\(file.path)/all.kvsnap"
        var fingerprint = ""
        try await Cluster.with { cluster in
            try await fill(cluster, content)
            #expect(try await cluster.command("put", "binary", "-", input: "\0\u{1}\n").status == 0)
            #expect(try await cluster.command("put", "short", "lived", "--ttl", "3600").status == 0)
            let saved = try await cluster.command("snapshot", "save", path)
            #expect(saved.status == 0 && saved.errors.contains("98 records"), "\(saved.errors)")
            let exists = try await cluster.command("snapshot", "save", path)
            #expect(exists.status == 1 && exists.errors.contains("--replace"), "\(exists.errors)")
            let nowhere = try await cluster.failing(
                "snapshot", "restore", "--url", "http://127.0.0.1:1", path)
            #expect(nowhere.status == 1 && nowhere.errors.contains("no answer from"), "\(nowhere.errors)")
            let inspected = try await cluster.command("snapshot", "inspect", path, "-o", "json")
            fingerprint = try #require(try JSON(Array(inspected.output.utf8))["content"].string)

            #expect(await cluster.stop("worker1") == 0)
            let folder = try await cluster.command("snapshot", "save", "--folder", "data/worker1", path + ".folder")
            #expect(folder.status == 0, "\(folder.errors)")
            let keys = try await cluster.command("snapshot", "inspect", "--keys", path + ".folder")
            #expect(keys.output.contains("key-"), "\(keys.errors)")
        }
        var other = ClusterSettings()
        (other.backends, other.partitions, other.name) = (["sqlite", "sqlite", "lmdb"], 4, "other")
        try await Cluster.with(other) { cluster in
            #expect(try await cluster.command("put", "key-1", "another value").status == 0)
            let kept = try await cluster.command("snapshot", "restore", path)
            #expect(kept.status == 4 && kept.errors.contains("key-1;"), "\(kept.errors)")
            #expect(kept.errors.contains("97 written"), "\(kept.errors)")
            #expect(try await cluster.command("get", "key-1").output == "another value")
            let replaced = try await cluster.command("snapshot", "restore", "--overwrite", path)
            #expect(replaced.status == 0, "\(replaced.errors)")
            let again = try await cluster.command("snapshot", "restore", path)
            #expect(again.status == 0 && again.errors.contains("98 were there already"), "\(again.errors)")
            #expect(try await cluster.command("get", "binary").output == "\0\u{1}\n")
            let short = try JSON(Array(try await cluster.command("get", "short", "-o", "json").output.utf8))
            #expect(short["expires_at"].integer != nil)
            let saved = try await cluster.command("snapshot", "save", path + ".again")
            #expect(saved.status == 0 && saved.errors.contains(fingerprint), "\(saved.errors), not \(fingerprint)")
            try await content.verify(at: cluster.servers())
        }
        try Data(contentsOf: URL(filePath: path)).dropLast(3).write(to: URL(filePath: path + ".cut"))
        let cut = try await run(
            Executable.path(), ["snapshot", "inspect", path + ".cut"], log: "\(file.path)/command")
        #expect(cut.status == 1 && cut.errors.contains("not whole"), "\(cut.errors)")
    }
}
