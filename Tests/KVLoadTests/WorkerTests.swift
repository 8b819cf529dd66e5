import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import KVBackendBench
@testable import KVLoad

/// When operations are sent, over which connection, and what the end of a phase does to those that were not.
@Suite(.timeLimit(.minutes(2))) struct WorkerTests {
    private static let read = ScriptedServer.http("200 OK", #"{"key":"k","value":"12345"}"#)

    private func plan(_ endpoint: LoadEndpoint, servers: Int = 1) throws -> LoadPlan {
        var plan = LoadPlan()
        plan.endpoints = [LoadEndpoint](repeating: endpoint, count: servers)
        (plan.connections, plan.records, plan.valueBytes, plan.loads) = (8, 300, 5, false)
        (plan.warmUpSeconds, plan.seconds, plan.timeoutSeconds) = (0, 1, 2)
        return plan
    }

    private func worker(_ plan: LoadPlan, connections: Int) async throws -> LoadWorker<KVDialect> {
        let holdings = plan.endpoints.map { _ in LoadHoldings(slots: nil, names: LoadNames(prefix: plan.prefix)) }
        let worker = LoadWorker(
            plan, place: 0, loop: MultiThreadedEventLoopGroup.singleton.next(), holdings: holdings, ranks: nil
        ) { KVDialect(plan, endpoint: plan.endpoints[$0]) }
        try await worker.loop.flatSubmit { worker.connect(Array(0..<connections)) }.get()
        return worker
    }

    /// One phase at fixed times, given as nanoseconds from its beginning.
    private func run(
        _ worker: LoadWorker<KVDialect>, end: UInt64, interval: Double, offset: Double = 0
    ) async throws -> LoadTally {
        try await worker.loop.flatSubmit {
            let begin = Machine.now()
            return worker.run(
                LoadPhase(
                    kind: .mix, begin: begin, end: begin + end, isChecked: true, interval: interval, offset: offset))
        }.get()
    }

    /// The second operation is due one nanosecond before the end, so that its alarm rings after it.
    @Test func `what came due too late to be sent keeps nobody from being answered`() async throws {
        let server = ScriptedServer { _, _ in .late(WorkerTests.read, .milliseconds(500)) }
        let tally = try await server.whileListening { endpoint in
            let worker = try await worker(try plan(endpoint), connections: 2)
            defer { worker.loop.execute { worker.closeAll() } }
            return try await run(worker, end: 200_000_000, interval: 199_999_999)
        }
        #expect(tally.failures == [:])
        #expect(tally.latency(.read).count == 1 && tally.neverSent == 1)
    }

    @Test func `operations at fixed times go to all servers in turn`() async throws {
        let server = ScriptedServer { _, _ in .text(WorkerTests.read) }
        let tally = try await server.whileListening { endpoint in
            var plan = try plan(endpoint, servers: 4)
            plan.rate = 400
            return try await LoadRun.perform(plan) { _ in }.tally
        }
        #expect(tally.failed == 0)
        let all = tally.sent.reduce(0, +)
        #expect(all > 40 && tally.sent.allSatisfy { $0 > all / 8 }, "\(tally.sent)")
    }

    /// Due are those at 1/2, 3/2 and 5/2 of three intervals.
    @Test(arguments: [0, 0.5] as [Double])
    func `operations that nobody could send are all counted`(offset: Double) async throws {
        let interval = 100_000_000 / 3.0
        let plan = try plan(LoadEndpoint(host: "127.0.0.1", port: 1))
        let worker = try await worker(plan, connections: 0)
        let tally = try await run(worker, end: 100_000_000, interval: interval, offset: offset * interval)
        #expect(tally.neverSent == 3)
    }

    /// Gone before loading begins, so that no operation can fail.
    @Test func `loading waits for no server that stays away`() async throws {
        let server = ScriptedServer { _, _ in .vanish }
        let tally = try await server.whileListening { endpoint in
            var plan = try plan(endpoint)
            plan.timeoutSeconds = 1
            let worker = try await worker(plan, connections: 1)
            defer { worker.loop.execute { worker.closeAll() } }
            let first = try await run(worker, end: 10_000_000, interval: 20_000_000)
            #expect(first.failures == ["connection closed": 1])
            return try await worker.loop.flatSubmit {
                worker.run(LoadPhase(kind: .loading, begin: Machine.now(), end: .max, isChecked: true))
            }.get()
        }
        #expect(tally.failures.keys.contains { $0.hasSuffix("for 1 s") }, "\(tally.failures)")
        #expect(tally.latency.count == 0)
    }

    @Test func `percentiles beyond what was sent are not those of what was sent`() async throws {
        let server = ScriptedServer { number, _ in
            number > 20 ? .late(WorkerTests.read, .seconds(60)) : .text(WorkerTests.read)
        }
        let result = try await server.whileListening { endpoint in
            var plan = try plan(endpoint)
            plan.rate = 100
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.tally.latency.count <= 20)
        #expect(Int(result.tally.latency.count) + result.tally.failed + result.tally.neverSent == 100)
        let json = try JSONSerialization.jsonObject(with: LoadReport(result).json()) as? [String: Any]
        #expect((json?["latency_ns"] as? [String: Any])?["p50"] is NSNull)
        let row = try #require(LoadReport(result).rows.last)
        #expect(row.suffix(5) == ["not sent", "not sent", "not sent", "not sent", "not sent"], "\(row)")
    }

    @Test func `a second answer to one question is none to the next`() async throws {
        let server = ScriptedServer { number, _ in
            .text(number == 5 ? WorkerTests.read + WorkerTests.read : WorkerTests.read)
        }
        let tally = try await server.whileListening { endpoint in
            try await LoadRun.perform(try plan(endpoint)) { _ in }.tally
        }
        #expect(tally.failures == ["wrong: more than one answer to a question": 1])
    }
}
