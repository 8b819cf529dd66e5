import Foundation
import KVProtocols
import Testing

@testable import KVConfiguration

/// The files in `configs` are what they say they are.
@Suite struct ExampleConfigurationTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "configs")

    private func text(_ name: String) throws -> String {
        try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
    }

    private func load(_ name: String) throws -> ClusterConfiguration {
        try ClusterConfiguration.load(
            path: Self.folder.appending(path: name).path, knownBackends: Fixture.backends)
    }

    @Test func `every file in configs is valid`() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        let examples = names.filter { $0.hasSuffix(".json") && $0 != "cluster.schema.json" }
        #expect(examples.count >= 5)
        for name in examples { _ = try load(name) }
    }

    @Test(arguments: [
        ("file.json", ["file", "file", "file", "file"]), ("sqlite.json", ["sqlite", "sqlite", "sqlite", "sqlite"]),
        ("lmdb.json", ["lmdb", "lmdb", "lmdb", "lmdb"]), ("mixed.json", ["file", "sqlite", "lmdb", "lmdb"]),
        ("memory.json", ["memory", "memory", "memory", "memory"]),
        ("plugin.json", ["plugin", "plugin", "plugin", "plugin"]),
    ])
    func `examples for one machine use the usual ports`(name: String, backends: [String]) throws {
        let cluster = try load(name)
        #expect(cluster.nodes.map(\.backend.type) == backends)
        #expect(cluster.policy == .standard)
        #expect(cluster.controller.listen.description == "127.0.0.1:8000")
        #expect(cluster.nodes.map(\.name) == (1...4).map { "worker\($0)" })
        #expect(cluster.nodes.map(\.listen.description) == (1...4).map { "127.0.0.1:800\($0)" })
        #expect(cluster.nodes.map(\.peerListen.description) == (1...4).map { "127.0.0.1:900\($0)" })
        #expect(cluster.nodes.map(\.backend.path) == (1...4).map { "data/worker\($0)" })
        #expect(!cluster.allowInsecureNetwork)
    }

    @Test func `containers reach each other by the names of their services`() throws {
        let cluster = try load("docker.json")
        #expect(cluster.controller.advertise.description == "controller:8000")
        #expect(cluster.nodes.map(\.advertise.description) == (1...4).map { "worker\($0):800\($0)" })
        #expect(cluster.nodes.map(\.peerAdvertise.description) == (1...4).map { "worker\($0):900\($0)" })
        #expect(cluster.nodes.allSatisfy { $0.backend.type == "file" && $0.backend.path == "/data" })
    }

    @Test func `the built-in configuration is the lmdb example`() throws {
        #expect(try text("lmdb.json") == ClusterConfiguration.standardText)
    }

    @Test func `the built-in schema is the one in configs`() throws {
        #expect(try text("cluster.schema.json") == ClusterConfiguration.schemaText)
    }

    @Test func `the schema names exactly the known keys`() throws {
        let schema = try JSONReader.read(ClusterConfiguration.schemaText)
        func keys(_ path: String...) throws -> [String] {
            let node = path.reduce(schema as JSONNode?) { $0?.member($1) }
            guard case .object(let members) = try #require(node?.member("properties")).value else { return [] }
            #expect(node?.member("additionalProperties")?.value == .boolean(false))
            return members.map(\.name).sorted()
        }
        #expect(try keys() == ClusterDraft.rootKeys.sorted())
        #expect(try keys("properties", "cluster") == ClusterDraft.clusterKeys.sorted())
        #expect(
            try keys("properties", "cluster", "properties", "replication") == ClusterDraft.replicationKeys.sorted())
        #expect(try keys("properties", "controller") == ServerDraft.keys.sorted())
        #expect(try keys("properties", "nodes", "items") == NodeDraft.keys.sorted())
        #expect(try keys("properties", "nodes", "items", "properties", "limits") == NodeDraft.limitKeys.sorted())
        #expect(try keys("$defs", "log") == ["format", "level"])
        #expect(try keys("$defs", "backend") == BackendDraft.keys.sorted())
    }

    @Test func `a file that can't be read is a problem with its path`() {
        #expect {
            try ClusterConfiguration.load(path: "/nonexistent/kv.json", knownBackends: [])
        } throws: { error in
            "\(error)".hasPrefix("/nonexistent/kv.json: can't be opened: ")
        }
    }
}
