import Foundation
import Testing

/// Disks that are full or read-only. Needs mounts, so root on Linux.
@Suite(.enabled("mounting a file system is not allowed here") { try await Mount.isPossible() })
struct DiskTests {
    @Test func `a read-only data folder is refused with the reason`() async throws {
        var settings = ClusterSettings()
        settings.folders = ["worker1": "disk"]
        try await Cluster.with(settings, starting: false) { cluster in
            try await Mount.with("ro,mode=700", at: "\(cluster.folder)/disk", in: cluster.folder) {
                let result = try await cluster.failing("node", "--name", "worker1", "--config", cluster.configuration)
                #expect(result.status == 1)
                #expect(
                    result.errors.contains("can\'t be written") && result.errors.contains("mount"), "\(result.errors)")
                #expect(result.errors.contains("disk"), "\(result.errors)")
            }
        }
    }

    @Test(arguments: ["sqlite", "lmdb"])
    func `a full disk costs no acknowledged write and passes when there is room again`(_ backend: String) async throws {
        var settings = ClusterSettings.all(backend)
        settings.replaceAfter = 3_600_000
        settings.folders = ["worker1": "disk/data"]
        settings.limits = [
            "worker1": #"{"max_value_bytes": 262144, "journal_segment_bytes": 1048576, "disk_reserve_bytes": 0}"#
        ]
        try await Cluster.with(settings, starting: false) { cluster in
            let disk = "\(cluster.folder)/disk"
            try await Mount.with("size=24m,mode=700", at: disk, in: cluster.folder) {
                try await cluster.start()
                let log = WriteLog()
                try await write(200, "before", cluster, log)
                #expect(log.count == 200)
                try fill("\(disk)/filler")
                try await write(400, "full", cluster, log)
                try await eventually("worker1 says that its disk is full") {
                    let health = try await cluster.node("worker1").get("/health").json
                    return health["verdict"].string != "ok" && health["reasons"].strings.joined().contains("full")
                }
                var round = 0
                try await eventually("others lead, so that every key can be written") {
                    round += 1
                    return try await write(50, "led by others \(round)", cluster, log) == 50
                }
                try await log.verify(at: [cluster.node("worker2"), cluster.node("worker3"), cluster.controller])
                try await log.verify(at: [cluster.node("worker1")])

                try FileManager.default.removeItem(atPath: "\(disk)/filler")
                try await eventually("worker1 is well again", within: .seconds(90)) {
                    try await cluster.node("worker1").get("/health").json["verdict"].string == "ok"
                }
                #expect(cluster.process("worker1")?.isRunning == true)
                try await cluster.healthy()
                try await write(50, "after", cluster, log)
                try await log.verify(at: cluster.servers())
                for key in log.keys {
                    try await eventually("\(key) is the same everywhere") { try await cluster.agrees(key) }
                }
                await cluster.destroyAll()
            }
        }
    }

    /// All nodes on one disk, which gets nearly full: what grows is refused early, deletes still work.
    @Test func `a nearly full disk refuses what grows, takes deletes, and recovers`() async throws {
        var settings = ClusterSettings.all("lmdb")
        settings.replaceAfter = 3_600_000
        for node in settings.nodes {
            settings.folders[node] = "disk/\(node)"
            settings.limits[node] = #"{"journal_segment_bytes": 2097152, "disk_reserve_bytes": 67108864}"#
        }
        try await Cluster.with(settings, starting: false) { cluster in
            let disk = "\(cluster.folder)/disk"
            try await Mount.with("size=256m,mode=755", at: disk, in: cluster.folder) {
                try await cluster.start()
                let (log, server) = (WriteLog(), cluster.node("worker2"))
                for key in ["one", "two", "three"] { #expect(await log.put(key, "before", to: server) == 200) }
                let filler = "\(disk)/filler"
                try fill(filler)
                // 40 MiB are left: room for everything that the nodes do by themselves.
                let length = try FileManager.default.attributesOfItem(atPath: filler)[.size] as? Int
                let file = try FileHandle(forWritingTo: URL(filePath: filler))
                try file.truncate(atOffset: UInt64(try #require(length) - (40 << 20)))
                try file.close()
                for key in ["one", "two", "three", "four"] {
                    try await eventually("\(key) is refused") {
                        await log.put(key, "during", to: server) == 507
                    }
                }
                try await log.verify(at: [server])
                #expect(try await server("DELETE", "/kv/two").status == 204)
                #expect(try await server.get("/kv/two").status == 404)
                let health = try await server.get("/health").json
                #expect(health["reasons"].strings.joined().contains("disk_reserve_bytes"), "\(health)")

                try FileManager.default.removeItem(atPath: filler)
                try await eventually("there is room again") { await log.put("four", "after", to: server) == 200 }
                try await cluster.healthy()
                await cluster.destroyAll()
            }
        }
    }

    /// Writes of 20 KB through all nodes. Each is done, or refused with what became of it. Returns how many were done.
    @discardableResult
    private func write(_ count: Int, _ word: String, _ cluster: Cluster, _ log: WriteLog) async throws -> Int {
        let servers = cluster.servers()
        let before = log.count
        try await concurrently(0..<count) { index in
            let (key, value) = ("key-\(index)", "\(word)-\(String(repeating: "x", count: 20_000))")
            log.begin(key, value)
            let answer = try await servers[index % servers.count].put(key, value, query: "?timeout=2000")
            let outcome = answer.json["outcome"].string
            switch answer.status {
            case 200: log.acknowledge(key, value)
            case 503, 507:
                #expect(outcome == "not_applied", "\(answer.text)")
                log.notApplied(key, value)
            default: #expect(answer.status == 504 && outcome == "unknown", "\(answer.text)")
            }
        }
        print("\(word): \(log.count) writes acknowledged so far")
        return log.count - before
    }

    /// Takes all the room that is left.
    private func fill(_ path: String) throws {
        try #require(FileManager.default.createFile(atPath: path, contents: nil))
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        var chunk = 1 << 20
        while chunk >= 4_096 {
            do {
                try file.write(contentsOf: [UInt8](repeating: 0, count: chunk))
            } catch {
                chunk /= 2
            }
        }
    }
}
