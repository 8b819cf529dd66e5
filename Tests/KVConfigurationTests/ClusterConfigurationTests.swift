import KVProtocols
import Testing

@testable import KVConfiguration

@Suite struct ClusterConfigurationTests {
    @Test func `defaults fill what is not given`() throws {
        let cluster = try Fixture.load()
        #expect(cluster.partitions == 64)
        #expect(cluster.heartbeat == .milliseconds(500))
        #expect(cluster.failAfter == .seconds(3))
        #expect(cluster.replaceAfter == .seconds(5))
        #expect(cluster.bootstrapWait == .seconds(10))
        #expect(!cluster.allowInsecureNetwork)
        #expect(cluster.controller.advertise == cluster.controller.listen)
        #expect(cluster.controller.publicURL == "http://127.0.0.1:8000")
        let node = try #require(cluster.node(named: "worker1"))
        #expect(node.advertise == node.listen)
        #expect(node.peerAdvertise == node.peerListen)
        #expect(node.publicURL == "http://127.0.0.1:8001")
        #expect(node.zone.isEmpty)
        #expect(node.weight == 100)
        #expect(node.backend == BackendConfiguration(type: "lmdb", path: "data/worker1", options: [:]))
        #expect(node.limits.maxValueBytes == 1 << 20)
        #expect(node.limits.maxBodyBytes == 3 << 20)
        #expect(node.limits.overlayBytes == 64 << 20)
        #expect(node.limits.journalSegmentBytes == 16 << 20)
        #expect(node.limits.maxInflight == 4096)
        #expect(node.limits.scrubBytesPerSecond == 4 << 20)
        #expect(node.log == LogConfiguration(level: .notice, format: .text))
    }

    @Test func `the default policy suits the number of nodes`() throws {
        let two = try Fixture.load().policy
        #expect(two == (try ReplicationPolicy(replicas: 2, write: 2, read: 2)))
        let one = try Fixture.load(Fixture.changed([("nodes.1", nil)])).policy
        #expect(one == (try ReplicationPolicy(replicas: 1, write: 1, read: 1)))
        let standard = try ClusterConfiguration.load(
            text: ClusterConfiguration.standardText, source: "standard", knownBackends: Fixture.backends)
        #expect(standard.policy == .standard)
    }

    @Test func `limits follow a raised max_value_bytes`() throws {
        let text = try Fixture.changed([("nodes.0.limits", #"{"max_value_bytes": 67108864}"#)])
        let limits = try Fixture.load(text).nodes[0].limits
        #expect(limits.maxBodyBytes == 129 << 20)
        #expect(limits.overlayBytes == 256 << 20)
        #expect(limits.journalSegmentBytes == 128 << 20)
    }

    @Test func `every value can be given, and is printed so that it reads back the same`() throws {
        let text = try Fixture.changed([
            ("$schema", #""./cluster.schema.json""#),
            ("cluster.partitions", "16384"),
            ("cluster.replication", #"{"replicas": 2, "write_quorum": 2, "read_quorum": 1}"#),
            ("cluster.heartbeat_ms", "100"), ("cluster.fail_after_ms", "201"), ("cluster.replace_after_ms", "0"),
            ("cluster.bootstrap_wait_ms", "0"), ("cluster.allow_insecure_network", "true"),
            ("cluster.allow_volatile_storage", "true"),
            ("controller.log", #"{"level": "debug", "format": "json"}"#),
            ("nodes.0.listen", #""0.0.0.0:8001""#), ("nodes.0.advertise", #""a.example:80""#),
            ("nodes.0.peer_advertise", #""[fd00::1]:9001""#), ("nodes.0.public_url", #""https://kv.example/""#),
            ("nodes.0.zone", #""rack-1.B""#),
            ("nodes.0.weight", "200"), ("nodes.0.limits", #"{"scrub_bytes_per_second": 0}"#),
            ("nodes.0.backend.options", #"{"tuning": 2.5}"#),
        ])
        let cluster = try Fixture.load(text)
        #expect(cluster.policy.read == 1)
        #expect(cluster.allowInsecureNetwork)
        #expect(cluster.allowVolatileStorage)
        #expect(cluster.failAfter == .milliseconds(201))
        #expect(cluster.controller.log == LogConfiguration(level: .debug, format: .json))
        #expect(cluster.nodes[0].publicURL == "https://kv.example")
        #expect(cluster.nodes[0].zone == "rack-1.B")
        #expect(cluster.nodes[0].weight == 200)
        #expect(cluster.nodes[0].limits.scrubBytesPerSecond == 0)
        #expect(cluster.nodes[0].backend.options == ["tuning": .number(2.5)])
        #expect(try Fixture.load(cluster.json) == cluster)
        #expect(try Fixture.load(cluster.json).json == cluster.json)
    }

    @Test func `a plugin has a library, and options that only the library knows`() throws {
        let text = try Fixture.changed([
            (
                "nodes.0.backend",
                #"{"type": "plugin", "library": "libkv_x.so", "path": "p", "options": {"a": 1, "b_c": "d"}}"#
            )
        ])
        let cluster = try Fixture.load(text)
        let backend = cluster.nodes[0].backend
        #expect(backend.library == "libkv_x.so")
        #expect(backend.options == ["library": .string("libkv_x.so"), "a": .integer(1), "b_c": .string("d")])
        #expect(cluster.nodes[1].backend.library == nil)
        #expect(cluster.json.contains(#""library": "libkv_x.so""#))
        #expect(try Fixture.load(cluster.json) == cluster)
    }

    @Test func `all problems are reported at once, each with path, line and column`() throws {
        let text = """
            {
              "cluster": {"name": "Demo", "partitions": 65, "hartbeat_ms": 5},
              "controller": {"listen": "nowhere", "backend": {"type": "file"}},
              "nodes": [
                {"name": "a", "listen": "127.0.0.1:1", "peer_listen": 7, "backend": {"type": "lmbd", "path": "x"}},
                {"name": "a", "listen": "127.0.0.1:1", "peer_listen": "127.0.0.1:2", "backend": {"type": "file", "path": "x"}}
              ],
              "nodes": []
            }
            """
        let problems = Fixture.problems(text)
        #expect(
            problems.map(\.path) == [
                "$.nodes", "$.cluster.hartbeat_ms", "$.cluster.name", "$.cluster.partitions", "$.controller.listen",
                "$.controller.backend.path", "$.nodes[0].backend.type", "$.nodes[0].peer_listen", "$.nodes[1].name",
                "$.nodes[1].listen", "$.nodes[1].backend.path",
            ])
        let lines = ConfigurationProblems(source: "test.json", problems: problems).description.split(separator: "\n")
        #expect(lines.count == problems.count)
        #expect(lines[0] == "test.json:8:3: $.nodes: is given twice")
        #expect(
            lines[1] == #"test.json:2:49: $.cluster.hartbeat_ms: unknown key; did you mean "heartbeat_ms"?"#)
        #expect(
            lines[6].hasPrefix("test.json:5:82: $.nodes[0].backend.type: ")
                && lines[6].hasSuffix(#"file, sqlite, lmdb, memory, plugin; did you mean "lmdb"?"#))
    }

    @Test(arguments: [
        ("cluster", nil, "$.cluster", "is missing"), ("controller", nil, "$.controller", "is missing"),
        ("nodes", nil, "$.nodes", "is missing"), ("nodes", "[]", "$.nodes", "use 1 to 256"),
        ("nodes", "{}", "$.nodes", "expected a list, found an object"),
        ("nodes.0", "null", "$.nodes[0]", "expected an object, found null"),
        ("cluster.name", nil, "$.cluster.name", "is missing"), ("cluster.name", "\"-a\"", "$.cluster.name", "1 to 63"),
        ("cluster.name", "\"a_b\"", "$.cluster.name", "1 to 63"), ("cluster.name", "\"\"", "$.cluster.name", "1 to 63"),
        ("cluster.partitions", "0", "$.cluster.partitions", "not in 1 to 16384"),
        ("cluster.partitions", "63", "$.cluster.partitions", "power of two"),
        ("cluster.partitions", "64.5", "$.cluster.partitions", "whole number"),
        ("cluster.partitions", "32768", "$.cluster.partitions", "not in"),
        ("cluster.heartbeat_ms", "\"500\"", "$.cluster.heartbeat_ms", "expected a whole number, found a text"),
        ("cluster.fail_after_ms", "1000", "$.cluster.fail_after_ms", "more than twice"),
        ("cluster.allow_insecure_network", "1", "$.cluster.allow_insecure_network", "true or false"),
        ("cluster.replication", "[]", "$.cluster.replication", "expected an object"),
        ("cluster.replication", #"{"replicas": 3}"#, "$.cluster.replication.replicas", "there are 2"),
        ("cluster.replication", #"{"replicas": -9223372036854775808}"#, "$.cluster.replication.replicas", "use 1 to 9"),
        ("cluster.replication", #"{"replicas": 9223372036854775807}"#, "$.cluster.replication.replicas", "use 1 to 9"),
        ("cluster.replication", #"{"replicas": 10}"#, "$.cluster.replication.replicas", "use 1 to 9"),
        ("cluster.replication", #"{"write_quorum": 3}"#, "$.cluster.replication.write_quorum", "use 1 to 2"),
        ("cluster.replication", #"{"read_quorum": 0}"#, "$.cluster.replication.read_quorum", "use 1 to 2"),
        (
            "cluster.replication", #"{"write_quorum": 1, "read_quorum": 1}"#, "$.cluster.replication.read_quorum",
            "must be more than replicas 2"
        ),
        ("controller.listen", nil, "$.controller.listen", "is missing"),
        ("controller.public_url", "\"kv.example\"", "$.controller.public_url", "http://HOST"),
        ("controller.public_url", "\"http://kv.example/ui\"", "$.controller.public_url", "http://HOST"),
        ("nodes.0.zone", "\"\"", "$.nodes[0].zone", "1 to 63"),
        ("nodes.0.weight", "0", "$.nodes[0].weight", "1 to 10000"),
        ("nodes.0.log", #"{"level": "loud"}"#, "$.nodes[0].log.level", "none of trace, debug, info"),
        ("nodes.0.backend.path", "\"\"", "$.nodes[0].backend.path", "path of a folder"),
        ("nodes.0.backend.options", #"{"tunin": 1}"#, "$.nodes[0].backend.options.tunin", "did you mean \"tuning\"?"),
        ("nodes.0.backend.options", #"{"tuning": []}"#, "$.nodes[0].backend.options.tuning", "found a list"),
        ("nodes.0.backend.library", #""x.so""#, "$.nodes[0].backend.library", "comes out of no library"),
        ("nodes.0.backend.type", #""plugin""#, "$.nodes[0].backend.library", "is missing"),
        ("nodes.0.backend", #"{"type": "plugin", "path": "x", "library": 7}"#, "$.nodes[0].backend.library", "a text"),
        (
            "nodes.0.backend", #"{"type": "plugin", "path": "x", "library": ""}"#, "$.nodes[0].backend.library",
            "1 to 4095"
        ),
        (
            "nodes.0.backend", #"{"type": "plugin", "path": "x", "library": "x", "options": {"library": "y"}}"#,
            "$.nodes[0].backend.options.library", "beside options"
        ),
        (
            "nodes.0.backend", #"{"type": "plugin", "path": "x", "library": "x", "options": {"y": null}}"#,
            "$.nodes[0].backend.options.y", "found null"
        ),
        ("nodes.0.limits", #"{"max_value_bytes": 67108865}"#, "$.nodes[0].limits.max_value_bytes", "not in"),
        ("nodes.0.limits", #"{"max_body_bytes": 1048576}"#, "$.nodes[0].limits.max_body_bytes", "too small"),
        ("nodes.0.limits", #"{"overlay_bytes": 1048576}"#, "$.nodes[0].limits.overlay_bytes", "too small"),
        (
            "nodes.0.limits", #"{"journal_segment_bytes": 1048576}"#, "$.nodes[0].limits.journal_segment_bytes",
            "too small"
        ),
        ("nodes.0.we ird", "1", #"$.nodes[0]["we ird"]"#, "unknown key; known are: name, peer_listen"),
    ])
    func `one wrong value is one problem at its path`(
        member: String, json: String?, path: String, part: String
    ) throws {
        let problems = Fixture.problems(try Fixture.changed([(member, json)]))
        #expect(problems.map(\.path) == [path])
        #expect(problems.first?.message.contains(part) == true, "\(problems.first?.message ?? "")")
    }

    @Test func `a malformed text is one problem at its place`() {
        let problems = Fixture.problems("{\n  \"cluster\": {,}\n}")
        #expect(problems.count == 1)
        #expect(problems.first?.origin == .text(line: 2, column: 15))
    }
}

@Suite struct ClusterRelationsTests {
    @Test func `listening beyond the machine needs consent`() throws {
        let open: [(path: String, json: String?)] = [
            ("nodes.0.listen", "\"0.0.0.0:8001\""), ("nodes.0.advertise", "\"10.0.0.1:8001\""),
            ("nodes.1.peer_listen", "\"10.0.0.2:9002\""),
        ]
        let problems = Fixture.problems(try Fixture.changed(open))
        #expect(problems.map(\.path) == ["$.nodes[0].listen", "$.nodes[1].peer_listen"])
        #expect(problems.allSatisfy { $0.message.contains("$.cluster.allow_insecure_network") })
        #expect(Fixture.problems(try Fixture.changed(open + [("cluster.allow_insecure_network", "true")])).isEmpty)
    }

    @Test func `a wildcard can't be advertised`() throws {
        let allowed: [(path: String, json: String?)] = [
            ("cluster.allow_insecure_network", "true"), ("nodes.0.listen", "\"0.0.0.0:8001\""),
        ]
        let missing = Fixture.problems(try Fixture.changed(allowed))
        #expect(missing.map(\.path) == ["$.nodes[0].advertise"])
        let given = Fixture.problems(try Fixture.changed(allowed + [("nodes.0.advertise", "\"[::]:8001\"")]))
        #expect(given.map(\.path) == ["$.nodes[0].advertise"])
    }

    @Test(arguments: [
        ("nodes.1.listen", "\"127.0.0.1:8001\"", "$.nodes[1].listen", "$.nodes[0].listen"),
        ("nodes.0.peer_listen", "\"localhost:8001\"", "$.nodes[0].peer_listen", "$.nodes[0].listen"),
        ("nodes.0.listen", "\"127.0.0.1:8000\"", "$.nodes[0].listen", "$.controller.listen"),
    ])
    func `two servers can't share an address`(member: String, json: String, path: String, other: String) throws {
        let problems = Fixture.problems(try Fixture.changed([(member, json)]))
        #expect(problems.map(\.path) == [path])
        #expect(problems.first?.message.contains(other) == true)
    }

    @Test func `servers of one machine can't listen at one address, whatever they advertise`() throws {
        let text = try Fixture.changed([
            ("cluster.allow_insecure_network", "true"),
            ("nodes.0.listen", "\"0.0.0.0:7000\""), ("nodes.0.advertise", "\"10.0.0.1:1\""),
            ("nodes.1.listen", "\"10.0.0.1:7000\""), ("nodes.1.advertise", "\"10.0.0.1:2\""),
        ])
        let problems = Fixture.problems(text)
        #expect(problems.map(\.path) == ["$.nodes[1].listen"])
        #expect(problems.first?.message.contains("$.nodes[0].listen") == true)
    }

    @Test(arguments: [
        ("data/worker1", true), ("./data//x/../worker1/", true), ("data/worker1/inner", true), ("data", true),
        ("data/worker10", false), ("/data/worker1", false), ("../data/worker1", false),
    ])
    func `two processes of one machine can't share a folder`(path: String, isShared: Bool) throws {
        let problems = Fixture.problems(try Fixture.changed([("nodes.1.backend.path", "\"\(path)\"")]))
        #expect(problems.isEmpty != isShared)
        #expect(problems.allSatisfy { $0.path == "$.nodes[1].backend.path" })
    }

    @Test func `different machines may use the same ports and folders`() throws {
        let node = { (number: Int) in
            """
            {"name": "n\(number)", "listen": "0.0.0.0:80", "peer_listen": "0.0.0.0:90", "advertise": "n\(number):80",
             "peer_advertise": "n\(number):90", "backend": {"type": "file", "path": "/data"}}
            """
        }
        let text = try Fixture.changed([
            ("cluster.allow_insecure_network", "true"), ("nodes", "[\(node(1)), \(node(2)), \(node(3))]"),
        ])
        #expect(Fixture.problems(text).map(\.message) == [])
    }
}
