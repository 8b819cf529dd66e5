import Testing

@testable import KVConfiguration

@Suite struct OverridesTests {
    @Test func `a variable goes before the file, a flag before the variable`() throws {
        var overrides = Overrides(environment: [
            "KV_NODE_NAME": "worker2", "KV_NODE_LISTEN": "127.0.0.1:1111", "KV_NODE_DATA": "/srv/kv",
            "KV_LOG_LEVEL": "debug", "PATH": "/bin",
        ])
        var cluster = try Fixture.load(Fixture.minimal, overrides)
        #expect(cluster.nodes[1].listen.description == "127.0.0.1:1111")
        #expect(cluster.nodes[1].advertise.description == "127.0.0.1:1111")
        #expect(cluster.nodes[1].backend.path == "/srv/kv")
        #expect(cluster.nodes[0].listen.description == "127.0.0.1:8001")
        #expect(cluster.controller.log.level == .debug)
        #expect(cluster.nodes.allSatisfy { $0.log.level == .debug })

        overrides.set(.nodeListen, to: "127.0.0.1:2222", flag: "--listen")
        cluster = try Fixture.load(Fixture.minimal, overrides)
        #expect(cluster.nodes[1].listen.description == "127.0.0.1:2222")
    }

    @Test func `every setting reaches its value`() throws {
        let values: [Overrides.Setting: String] = [
            .controllerListen: "127.0.0.1:1", .controllerAdvertise: "127.0.0.1:2",
            .controllerPublicURL: "http://c.example", .controllerBackendType: "sqlite", .controllerData: "c",
            .nodeListen: "0.0.0.0:3", .nodePeerListen: "127.0.0.1:4", .nodeAdvertise: "127.0.0.1:5",
            .nodePeerAdvertise: "127.0.0.1:6", .nodePublicURL: "http://n.example", .nodeZone: "z",
            .nodeBackendType: "file", .nodeData: "n", .logLevel: "trace", .logFormat: "json",
            .allowInsecureNetwork: "yes",
        ]
        #expect(values.count == Overrides.Setting.allCases.count)
        var environment = ["KV_NODE_NAME": "worker1", "KV_CONFIG": "other.json"]
        for (setting, text) in values { environment[setting.variable] = text }
        let overrides = Overrides(environment: environment)
        #expect(overrides.file == "other.json")
        let cluster = try Fixture.load(Fixture.minimal, overrides)
        let controller = cluster.controller
        let node = cluster.nodes[0]
        #expect([controller.listen.port, controller.advertise.port] == [1, 2])
        #expect(controller.publicURL == "http://c.example")
        #expect([controller.backend.type, controller.backend.path] == ["sqlite", "c"])
        #expect([node.listen, node.peerListen, node.advertise, node.peerAdvertise].map(\.port) == [3, 4, 5, 6])
        #expect(node.publicURL == "http://n.example")
        #expect([node.zone, node.backend.type, node.backend.path] == ["z", "file", "n"])
        #expect(node.log == LogConfiguration(level: .trace, format: .json))
        #expect(cluster.allowInsecureNetwork)
    }

    @Test func `an unknown variable is a problem with the nearest name`() throws {
        let problems = Fixture.problems(Fixture.minimal, Overrides(environment: ["KV_NODE_LISTN": "x"]))
        #expect(problems.map(\.origin) == [.override("KV_NODE_LISTN")])
        #expect(problems.first?.message.contains("\"KV_NODE_LISTEN\"") == true)
    }

    @Test func `variables of the caller and of Kubernetes are no problem`() throws {
        let environment = ["KV_URL": "u", "KV_PORT": "tcp://1", "KV_PORT_80_TCP": "x", "KV_SERVICE_HOST": "10.0.0.1"]
        let overrides = Overrides(environment: environment, alsoKnown: ["KV_URL"])
        #expect(Fixture.problems(Fixture.minimal, overrides).isEmpty)
    }

    @Test func `a setting of a node needs to know which node`() throws {
        let overrides = Overrides(environment: ["KV_NODE_ZONE": "z"])
        let problems = Fixture.problems(Fixture.minimal, overrides)
        #expect(problems.map(\.origin) == [.override("KV_NODE_ZONE")])
        #expect(problems.first?.message.contains("--name") == true)
        let single = try Fixture.load(Fixture.changed([("nodes.1", nil)]), overrides)
        #expect(single.nodes[0].zone == "z")
    }

    @Test func `a node that is not in the file is a problem with the nearest name`() {
        var overrides = Overrides()
        overrides.node = "worker3"
        let problems = Fixture.problems(Fixture.minimal, overrides)
        #expect(problems.map(\.path) == ["$.nodes"])
        #expect(problems.first?.message.contains("\"worker1\"") == true)
    }

    @Test func `a wrong value is reported once, with the variable that brought it`() {
        let problems = Fixture.problems(Fixture.minimal, Overrides(environment: ["KV_LOG_LEVEL": "loud"]))
        #expect(problems.map(\.origin) == [.override("KV_LOG_LEVEL")])
        let consent = Overrides(environment: ["KV_ALLOW_INSECURE_NETWORK": "maybe"])
        #expect(Fixture.problems(Fixture.minimal, consent).map(\.path) == ["$.cluster.allow_insecure_network"])
        let printed = ConfigurationProblems(source: "f.json", problems: problems).description
        #expect(printed.hasPrefix("KV_LOG_LEVEL: $.controller.log.level: \"loud\" is none of"))
    }
}
