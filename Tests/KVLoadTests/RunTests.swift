import Foundation
import Synchronization
import Testing

@testable import KVBackendBench
@testable import KVLoad

#if canImport(FoundationXML)
import FoundationXML
#endif

/// Whole runs against a server of Redis's protocol that does as it is told.
@Suite(.timeLimit(.minutes(2))) struct RunTests {
    private func plan(_ endpoint: LoadEndpoint, _ mix: String = "get") throws -> LoadPlan {
        var plan = LoadPlan()
        (plan.endpoints, plan.target, plan.mix) = ([endpoint], .redis, try #require(LoadMix.preset(mix)))
        (plan.connections, plan.threads, plan.records, plan.valueBytes) = (8, 2, 300, 5)
        (plan.warmUpSeconds, plan.seconds, plan.timeoutSeconds) = (0, 1, 5)
        return plan
    }

    @Test func `every record is put once, then the mix is counted`() async throws {
        let server = ScriptedServer()
        let result = try await server.whileListening { endpoint in
            var plan = try plan(endpoint, "a")
            plan.warmUpSeconds = 1
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.loading?.done == 300)
        let (reads, writes) = (result.tally.latency(.read).count, result.tally.latency(.update).count)
        #expect(result.tally.failed == 0 && reads > 0 && writes > 0)
        #expect(server.sets.load(ordering: .relaxed) > 300 + Int(writes))
        #expect(result.tally.done <= Int(reads + writes) && result.tally.seconds.reduce(0, +) == result.tally.done)
        #expect(result.tally.sent == [Int(reads + writes)])
        let json = try JSONSerialization.jsonObject(with: LoadReport(result).json()) as? [String: Any]
        #expect(json?["done"] as? Int == result.tally.done && json?["count"] as? Int == Int(reads + writes))
        for name in ["seed", "prefix", "warm_up_seconds", "timeout_seconds", "checks"] {
            #expect(json?[name] != nil, "\(name)")
        }
        #expect((json?["latency_ns"] as? [String: Any])?["p99.9"] as? Int ?? 0 > 0)
        let operations = json?["operations"] as? [String: [String: Any]]
        #expect((operations?["update"]?["latency_ns"] as? [String: Any])?["max"] as? Int ?? 0 > 0)
        #expect(result.fault == nil)
        let report = LoadReport(result)
        #expect(report.text.contains("update") && report.html.contains("<polyline"))
        // All but the doctype and the one tag that HTML leaves open is XML.
        let xml = report.html.replacingOccurrences(of: "<!doctype html>", with: "").replacing(
            #/<meta [^>]*>/#, with: "")
        let parser = XMLParser(data: Data(xml.utf8))
        #expect(parser.parse(), "\(String(describing: parser.parserError)) at line \(parser.lineNumber)")
        #expect(report.doubts.isEmpty, "\(report.doubts)")
    }

    @Test func `failures are counted by their names and the load goes on`() async throws {
        let exceptions = [5: "-MOVED 1 x:1\r\n", 6: "$4\r\n1234\r\n", 7: "nonsense\r\n", 8: "", 9: "$-1\r\n"]
        let server = ScriptedServer { number, _ in
            exceptions[number].map { $0.isEmpty ? .close : .text($0) } ?? .usual
        }
        let result = try await server.whileListening { endpoint in
            var plan = try plan(endpoint)
            (plan.loads, plan.checks) = (false, true)
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.tally.failures["MOVED"] == 1)
        #expect(result.tally.failures["wrong: a value of 4 bytes"] == 1)
        #expect(result.tally.failures["connection closed"] == 1)
        #expect(result.tally.failures.keys.contains { $0.contains("reply begins with the byte") })
        #expect(result.tally.missing == 1 && result.tally.failed == 4)
        #expect(result.tally.done > 20)
        #expect(LoadReport(result).doubts.count >= 5)
        #expect(result.fault == "\(result.tally.wrong) answers were wrong" && result.tally.wrong == 2)
    }

    @Test func `wrong answers while warming up end the run`() async throws {
        await #expect(throws: LoadError.self) {
            let server = ScriptedServer { number, _ in number == 310 ? .text("$4\r\n1234\r\n") : .usual }
            try await server.whileListening { endpoint in
                var plan = try plan(endpoint)
                plan.warmUpSeconds = 1
                _ = try await LoadRun.perform(plan) { _ in }
            }
        }
        await #expect(throws: LoadError.self) {
            _ = try await LoadRun.perform(try plan(LoadEndpoint(host: "127.0.0.1", port: 1))) { _ in }
        }
    }

    @Test func `what nobody asked for is counted`() async throws {
        let server = ScriptedServer { number, _ in .text(number == 1 ? "+OK\r\n+OK\r\n" : "+OK\r\n") }
        let result = try await server.whileListening { endpoint in
            var plan = try plan(endpoint, "put")
            plan.loads = false
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.tally.wrong == 1 && result.fault == "1 answers were wrong")
    }

    @Test func `an outage until the end is seen as one`() async throws {
        let server = ScriptedServer { number, _ in number > 50 ? .vanish : .usual }
        let result = try await server.whileListening { endpoint in
            var plan = try plan(endpoint)
            (plan.loads, plan.seconds) = (false, 3)
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.tally.seconds.count == 3 && result.tally.seconds.suffix(2) == [0, 0])
        #expect(result.tally.done == 50 && result.tally.failures["connection closed"] == 8)
    }

    @Test func `nothing done is a fault`() async throws {
        let server = ScriptedServer { _, _ in .text("-LOADING Redis is loading\r\n") }
        let result = try await server.whileListening { endpoint in
            var plan = try plan(endpoint)
            plan.loads = false
            return try await LoadRun.perform(plan) { _ in }
        }
        #expect(result.fault == "no operation was done")
        #expect(LoadReport(result).text.contains("all"))
    }

    @Test func `neither the number nor the length of failures' names grows without end`() {
        var tally = LoadTally(servers: 1)
        let long = String(repeating: "x", count: 1_000)
        for number in 0..<1_000 {
            tally.record(.read, .failed("\(number) \(long)"), latency: 1, second: 0)
        }
        var sum = LoadTally(servers: 1)
        for _ in 0..<3 { sum.add(tally) }
        #expect(sum.failed == 3_000 && sum.failures.count == 65)
        #expect(sum.failures.keys.allSatisfy { $0.count <= 80 })
    }

    /// 400 a second: a stall of half a second hits the operations that came due meanwhile, 200 of them, and each of
    /// those waited as long as it was due before the end of the stall.
    @Test func `what was due while the server stalled waited since it was due`() async throws {
        let server = ScriptedServer { number, _ in
            // Nobody else is answered either: there is one thread.
            if number == 100 { usleep(500_000) }
            return .usual
        }
        let result = try await server.whileListening { endpoint in
            var plan = try plan(endpoint)
            (plan.rate, plan.loads, plan.seconds) = (400, false, 2)
            return try await LoadRun.perform(plan) { _ in }
        }
        let latency = result.tally.latency(.read)
        #expect(result.tally.failed == 0)
        #expect(Int(latency.count) + result.tally.neverSent >= 799 && Int(latency.count) <= 800)
        #expect(latency.longest >= 500_000_000)
        // 160 of 800 waited 100 ms or longer.
        #expect(latency.percentile(0.81) >= 100_000_000)
    }
}
