import KVProtocols

@testable import KVConfiguration

/// A small valid configuration to be broken in one place, and the registry of the tests.
enum Fixture {
    static let backends =
        ["file", "sqlite", "lmdb", "memory"].map { backend($0) } + [backend("plugin", loadsLibrary: true)]

    private static func backend(_ type: String, loadsLibrary: Bool = false) -> BackendFactory {
        BackendFactory(
            type: type, summary: "for tests", options: loadsLibrary ? [BackendFactory.libraryOption] : ["tuning"],
            loadsLibrary: loadsLibrary
        ) { _ throws(StorageError) in
            throw StorageError(.unsupported, "opens nothing")
        }
    }

    static let minimal = """
        {
          "cluster": {"name": "demo"},
          "controller": {"listen": "127.0.0.1:8000", "backend": {"type": "file", "path": "data/controller"}},
          "nodes": [
            {"name": "worker1", "listen": "127.0.0.1:8001", "peer_listen": "127.0.0.1:9001",
             "backend": {"type": "lmdb", "path": "data/worker1"}},
            {"name": "worker2", "listen": "127.0.0.1:8002", "peer_listen": "127.0.0.1:9002",
             "backend": {"type": "file", "path": "data/worker2"}}
          ]
        }
        """

    static func load(
        _ text: String = minimal, _ overrides: Overrides = Overrides()
    ) throws(ConfigurationProblems) -> ClusterConfiguration {
        try ClusterConfiguration.load(text: text, source: "test.json", overrides: overrides, knownBackends: backends)
    }

    /// What is wrong with a text, as `path: message`; empty when nothing is.
    static func problems(_ text: String, _ overrides: Overrides = Overrides()) -> [ConfigurationProblem] {
        do throws(ConfigurationProblems) {
            _ = try load(text, overrides)
            return []
        } catch {
            return error.problems
        }
    }

    /// `minimal` with members set: `("nodes.0.listen", "\"x\"")`; JSON text `nil` removes.
    static func changed(_ changes: [(path: String, json: String?)]) throws -> String {
        var root = try JSONReader.read(minimal)
        for change in changes {
            let node = try change.json.map { try JSONReader.read($0) }
            edit(&root, change.path.split(separator: ".").map(String.init)[...], node)
        }
        return root.value.printed()
    }

    private static func edit(_ node: inout JSONNode, _ path: ArraySlice<String>, _ replacement: JSONNode?) {
        guard let step = path.first else { return }
        let rest = path.dropFirst()
        switch node.value {
        case .array(var elements):
            guard let index = Int(step), elements.indices.contains(index) else { return }
            if rest.isEmpty, let replacement {
                elements[index] = replacement
            } else if rest.isEmpty {
                elements.remove(at: index)
            } else {
                edit(&elements[index], rest, replacement)
            }
            node.value = .array(elements)
        case .object(var members):
            if rest.isEmpty { members.removeAll { $0.name == step } }
            if rest.isEmpty, let replacement {
                members.append(JSONNode.Member(name: step, origin: replacement.origin, node: replacement))
            } else if let index = members.firstIndex(where: { $0.name == step }) {
                edit(&members[index].node, rest, replacement)
            }
            node.value = .object(members)
        default: return
        }
    }
}
