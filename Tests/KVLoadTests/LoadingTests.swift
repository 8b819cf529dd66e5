import Testing

@testable import KVLoad

/// What must not be taken for a store with its records in it.
@Suite(.timeLimit(.minutes(1))) struct LoadingTests {
    private func plan(_ endpoint: LoadEndpoint, _ target: LoadTarget) -> LoadPlan {
        var plan = LoadPlan()
        (plan.endpoints, plan.target) = ([endpoint], target)
        (plan.connections, plan.threads, plan.records, plan.valueBytes) = (4, 2, 300, 5)
        (plan.warmUpSeconds, plan.seconds, plan.timeoutSeconds) = (0, 1, 2)
        return plan
    }

    /// What the run fails with.
    private func failure(
        _ server: ScriptedServer, _ target: LoadTarget, _ change: (inout LoadPlan) -> Void = { _ in }
    ) async throws -> String {
        let error = await #expect(throws: LoadError.self) {
            try await server.whileListening { endpoint in
                var plan = plan(endpoint, target)
                change(&plan)
                _ = try await LoadRun.perform(plan) { _ in }
            }
        }
        return error?.description ?? ""
    }

    @Test func `a server that knows no such path was not loaded`() async throws {
        let server = ScriptedServer { _, _ in .text(ScriptedServer.http("404 Not Found", "{}")) }
        #expect(try await failure(server, .kv).contains("status 404"))
    }

    @Test(arguments: ["503 Service Unavailable", "500 Internal Server Error"])
    func `one record that was refused ends loading`(status: String) async throws {
        let server = ScriptedServer { number, _ in
            .text(number == 20 ? ScriptedServer.http(status, "{}") : ScriptedServer.http("200 OK", #"{"acks":2}"#))
        }
        let text = try await failure(server, .kv) { $0.records = 1_000_000 }
        #expect(text.contains("loading") && text.contains("status \(status.prefix(3))"), "\(text)")
    }

    @Test func `a server that is gone ends loading`() async throws {
        let server = ScriptedServer { number, _ in number >= 100 ? .vanish : .usual }
        #expect(try await failure(server, .redis).contains("loading"))
    }

    @Test func `a cluster is known from the first server that answers`() async throws {
        let server = ScriptedServer()
        let cluster = try await server.whileListening { endpoint in
            try await RedisCluster.look([LoadEndpoint(host: "127.0.0.1", port: 1), endpoint])
        }
        #expect(cluster.count == 1)
        let error = await #expect(throws: LoadError.self) {
            try await RedisCluster.look([LoadEndpoint(host: "127.0.0.1", port: 1)])
        }
        #expect(error?.description.contains("127.0.0.1:1 can't be reached") == true)
    }

    /// Each thread needs a connection to each master: four don't do for three masters from two threads.
    @Test func `more masters than were named need connections, too`() async throws {
        let server = ScriptedServer(nodes: { port in
            """
            aa 127.0.0.1:\(port)@1 myself,master - 0 0 1 connected 0-5460
            bb localhost:\(port)@1 master - 0 0 1 connected 5461-10922
            cc LOCALHOST:\(port)@1 master - 0 0 1 connected 10923-16383

            """
        })
        let text = try await failure(server, .redis)
        #expect(text.contains("connections") && text.contains("3 masters"), "\(text)")
    }

    @Test func `a master that holds none of the records is no target`() async throws {
        let server = ScriptedServer(nodes: { port in
            let slot = Int(LoadHoldings.slot(of: 0, LoadNames(prefix: "bench/")))
            return """
                aa 127.0.0.1:\(port)@1 myself,master - 0 0 1 connected 0-\(slot) \(slot + 2)-16383
                bb localhost:\(port)@1 master - 0 0 1 connected \(slot + 1)

                """
        })
        let text = try await failure(server, .redis) { ($0.records, $0.threads, $0.loads) = (1, 1, false) }
        #expect(text.contains("localhost") && text.contains("holds none of the 1 record"), "\(text)")
    }
}
