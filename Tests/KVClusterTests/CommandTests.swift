import Foundation
import Testing

/// `kv` as a client of a running cluster: results on standard output, exit codes for scripts.
@Suite struct CommandTests {
    @Test func `client commands print results and end with the right code`() async throws {
        try await Cluster.with(.withoutMoves) { cluster in
            let put = try await cluster.command("put", "greeting", "hello")
            #expect(put.status == 0 && !put.output.isEmpty, "\(put.errors)")
            let get = try await cluster.command("get", "greeting")
            #expect(get.status == 0 && get.output == "hello", "\(get.errors)")
            let json = try JSON(Array(try await cluster.command("get", "greeting", "-o", "json").output.utf8))
            #expect(json["value"].string == "hello")
            #expect(json["version"].string == put.output.split(separator: "\n").first.map(String.init))

            try await conditions(cluster)
            try await listings(cluster)
            try await state(cluster)
            try await usage(cluster)

            try await load(cluster)

            let deleted = try await cluster.command("del", "greeting")
            #expect(deleted.status == 0)
            let absent = try await cluster.command("get", "greeting")
            #expect(absent.status == 3 && absent.output.isEmpty && !absent.errors.isEmpty)
            try await withoutQuorum(cluster)
        }
    }

    /// Every operation of the load generator is understood, and answered with what it checks.
    private func load(_ cluster: Cluster) async throws {
        let servers = cluster.servers().map { "127.0.0.1:\($0.port)" }
        for mix in ["a", "d", "e", "f"] {
            let file = "\(cluster.folder)/load.json"
            let result = try await run(
                Executable.path(),
                ["bench", "cluster"] + servers + [
                    "--mix", mix, "--records", "300", "--connections", "8", "--warm-up", "1", "--seconds", "1",
                    "--check",
                    "--json", file,
                ], log: "\(cluster.folder)/command")
            #expect(
                result.status == 0 && !result.output.contains("operations failed"), "\(result.output)\(result.errors)")
            let json = try JSON(Array(Data(contentsOf: URL(filePath: file))))
            #expect((json["done"].integer ?? 0) > 0 && json["missing"].integer == 0, "\(result.output)")
            #expect(
                (json["latency_ns"]["p99"].integer ?? 0) > 0 && (json["count"].integer ?? 0) > 0, "\(result.output)")
        }
        let page = try await cluster.command("ls", "bench/")
        #expect(page.output.split(separator: "\n").count >= 300)
        let wrong = try await cluster.command("bench", "cluster", "nowhere", "--mix", "a")
        #expect(wrong.status == 64 && wrong.errors.contains("host:port"), "\(wrong.errors)")
    }

    private func conditions(_ cluster: Cluster) async throws {
        let exists = try await cluster.command("put", "greeting", "again", "--if-absent")
        #expect(exists.status == 4 && exists.output.isEmpty, "\(exists.errors)")
        #expect(try await cluster.command("put", "greeting", "again", "--if-version", "1.1.999").status == 4)
        #expect(try await cluster.command("del", "greeting", "--if-version", "1.1.999").status == 4)
        let piped = try await cluster.command("put", "dir/../file one", "-", input: "from\0 a pipe\n")
        #expect(piped.status == 0, "\(piped.errors)")
        #expect(try await cluster.command("get", "dir/../file one").output == "from\0 a pipe\n")
        #expect(try await cluster.command("put", "..", "dots").status == 0)
        #expect(try await cluster.command("get", "..", "--node", "worker2").output == "dots")
        let counted = try await cluster.command("incr", "count")
        #expect(counted.status == 0 && counted.output == "1\n", "\(counted.errors)")
        #expect(try await cluster.command("incr", "greeting").status == 1)
    }

    private func listings(_ cluster: Cluster) async throws {
        for index in 0..<5 { #expect(try await cluster.command("put", "list/\(index)", "v\(index)").status == 0) }
        #expect(try await cluster.command("ls", "list/").output == (0..<5).map { "list/\($0)\n" }.joined())
        #expect(try await cluster.command("ls", "list/", "--limit", "2").output == "list/0\nlist/1\n")
        #expect(try await cluster.command("ls", "list/4", "--values").output == "list/4\tv4\n")
        let none = try await cluster.command("ls", "nothing/")
        #expect(none.status == 0 && none.output.isEmpty, "\(none.status) \(none.errors) \(none.output)")
    }

    private func state(_ cluster: Cluster) async throws {
        let map = try await cluster.command("map", "greeting")
        #expect(map.status == 0, "\(map.errors)")
        for member in try await cluster.members(of: "greeting") { #expect(map.output.contains(member)) }
        #expect(try await cluster.command("map").output.split(separator: "\n").count == 17)
        let status = try await cluster.command("status")
        #expect(status.status == 0 && status.output.contains("partitions: 16, ok 16"), "\(status.output)")
        for node in cluster.nodes { #expect(status.output.contains(node)) }
        let replicas = try await cluster.command("replicas", "greeting")
        #expect(replicas.status == 0, "\(replicas.errors)")
    }

    private func usage(_ cluster: Cluster) async throws {
        let wrong = [["put", "only-a-key"], ["get"], ["get", ""], ["frobnicate"], ["put", "a", "b", "--tll", "5"]]
        for arguments in wrong {
            let result = try await run(
                cluster.executable, arguments, log: "\(cluster.folder)/usage", folder: cluster.folder)
            #expect(result.status == 64, "\(arguments): \(result.status) \(result.errors)")
            #expect(result.output.isEmpty && !result.errors.isEmpty)
        }
        let nobody = try await cluster.command("get", "a", "--url", "http://127.0.0.1:\(Ports.free())")
        #expect(nobody.status == 1, "\(nobody.errors)")
        let tooLong = try await cluster.command("put", String(repeating: "k", count: 481), "x")
        #expect(tooLong.status == 1 && tooLong.errors.contains("481"), "\(tooLong.errors)")

        // Takes the request and never answers.
        let port = Ports.free()
        let silent = try #require(Listener(port))
        defer { silent.close() }
        let unknown = try await cluster.command("put", "a", "b", "--timeout", "1", "--url", "http://127.0.0.1:\(port)")
        #expect(unknown.status == 6 && unknown.errors.contains("may take effect"), "\(unknown.errors)")
    }

    private func withoutQuorum(_ cluster: Cluster) async throws {
        for node in cluster.nodes.dropFirst() { await cluster.kill(node) }
        let url = "http://127.0.0.1:\(cluster.addresses.listen[0])"
        try await eventually("a write is refused") {
            try await cluster.command("put", "k", "v", "--timeout", "1000", "--url", url).status == 5
        }
        let read = try await cluster.command("get", "k", "--timeout", "1000", "--url", url)
        #expect(read.status == 5, "\(read.errors)")
    }
}
