import ArgumentParser
import Foundation
import KVLoad

/// `kv bench cluster`
struct BenchCluster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Put load on a running cluster, of this store or of another, and measure.",
        discussion: """
            Records bench/000000000000 and on are put first (--no-load leaves that out), then a warm-up looks at every answer, \
            then it is measured. Without --rate each connection sends when it has its answer; with it operations are due at fixed \
            times, and latency counts from then, whether or not a connection was free. Values are not compressible. The \
            generator shares the machine with the servers when they run on it: its processor time is printed.

            Mixes: \(LoadMix.presets.map(\.name).joined(separator: ", ")). a to f are those of YCSB; a scan there reads up to a \
            hundred neighbours. etcd is asked over its JSON gateway, Redis over its own protocol.
            """)

    @Argument(help: "host:port of servers, separated by spaces; connections are spread over them.")
    var servers: [String]

    @Option(help: "Whose protocol they speak: \(LoadTarget.allCases.map(\.rawValue).joined(separator: ", ")).")
    var target = "kv"
    @Option(help: "What the clients do.") var mix = "get"
    @Option(
        help:
            "Which records: \(LoadDistribution.allCases.map(\.rawValue).joined(separator: ", ")); else as the mix says."
    )
    var distribution: String?
    @Option(help: "Connections in all.") var connections = 64
    @Option(help: "Threads that serve them.") var threads = 1
    @Option(help: "Records that are put first and asked for.") var records = 100_000
    @Option(help: "Bytes of a value.") var valueBytes = 100
    @Option(help: "Operations a second in all, due at fixed times.") var rate: Int?
    @Option(help: "Seconds before it is measured.") var warmUp = 3
    @Option(help: "Seconds that are measured.") var seconds = 10
    @Option(help: "Seconds after which an answer is given up.") var timeout = 20
    @Option(help: "The same number, the same choices.") var seed: UInt64 = 1
    @Option(help: "With what the records' names begin.") var prefix = "bench/"
    @Flag(inversion: .prefixedNo, help: "Put the records first.") var load = true
    @Flag(help: "Look at every answer while measuring, too.") var check = false
    @Option(help: "Write everything that was measured to this file.") var json: String?
    @Option(help: "Write a page with plots to this file.") var html: String?

    func run() async throws {
        let plan = try plan()
        let bar = ProgressBar()
        let box = ProgressBox(bar)
        let result: LoadResult
        do {
            result = try await LoadRun.perform(plan) { box.show($0) }
        } catch let error as LoadError {
            throw CommandFailure(.error, error.description)
        }
        box.end()
        let report = LoadReport(result)
        Terminal.write(Array(report.text.utf8))
        if let json { try Bench.write(report.json(), to: json) }
        if let html { try Bench.write(Data(report.html.utf8), to: html) }
    }

    private func plan() throws -> LoadPlan {
        var plan = LoadPlan()
        plan.endpoints = try servers.map { text in
            guard let endpoint = LoadEndpoint(text) else {
                throw ValidationError("\"\(text)\" is not host:port")
            }
            return endpoint
        }
        plan.target = try choice(target, "--target")
        guard let preset = LoadMix.preset(mix) else {
            let names = LoadMix.presets.map(\.name).joined(separator: ", ")
            throw ValidationError("--mix is one of \(names), not \"\(mix)\"")
        }
        plan.mix = preset
        if let distribution { plan.mix.distribution = try choice(distribution, "--distribution") }
        (plan.connections, plan.threads, plan.records) = (connections, threads, records)
        (plan.valueBytes, plan.rate, plan.warmUpSeconds, plan.seconds) = (valueBytes, rate, warmUp, seconds)
        (plan.timeoutSeconds, plan.seed, plan.prefix) = (timeout, seed, prefix)
        (plan.loads, plan.checks) = (load, check)
        let problems = plan.problems
        guard problems.isEmpty else { throw ValidationError(problems.joined(separator: "; ")) }
        return plan
    }

    private func choice<Value: RawRepresentable & CaseIterable>(
        _ text: String, _ option: String
    ) throws -> Value where Value.RawValue == String {
        guard let value = Value(rawValue: text) else {
            let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("\(option) is one of \(names), not \"\(text)\"")
        }
        return value
    }

    /// Reports come from one task at a time; the lock is for the compiler and the end.
    private final class ProgressBox: @unchecked Sendable {
        private let lock = NSLock()
        private let bar: ProgressBar

        init(_ bar: ProgressBar) { self.bar = bar }

        func show(_ progress: LoadRun.Progress) {
            lock.withLock { bar.show(progress.stage, UInt64(progress.done), of: UInt64(progress.total)) }
        }

        func end() { lock.withLock { bar.end() } }
    }
}
