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
            times, and latency counts from then, whether or not a connection was free; what was never sent took longer than all \
            others. Values are up to 64 different ones of random letters and digits: a server that compresses its data gains by \
            it. The generator shares the machine with the servers when they run on it: its processor time is printed.

            Mixes: \(LoadMix.presets.map(\.name).joined(separator: ", ")). a to f are like those of YCSB, with differences: f \
            writes on condition that nobody wrote in between, the popular records are zipfian among those that exist, and a scan \
            reads up to a hundred records from the beginning of a block of a hundred. Conditional writes that somebody else was \
            faster than count as done, and are printed. etcd is asked over its JSON gateway, Redis over its own protocol.

            The exit status is 1 when nothing was done or an answer was wrong.
            """)

    @Argument(help: "host:port of servers, separated by spaces; connections are spread over them.")
    var servers: [String]

    @Option(help: "Whose protocol they speak.") var target = LoadTarget.kv
    @Option(help: "What the clients do.") var mix = "get"
    @Option(help: "Which records they ask for; as the mix says unless given.") var distribution: LoadDistribution?
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
        // Thousands of connections are more than processes may have open at first.
        ProcessLimits.prepare()
        let result = try await measure(try plan())
        let report = LoadReport(result)
        // Servers choose the names of failures.
        Terminal.write(Array(Terminal.printable(report.text, keepingLines: true).utf8))
        if let json { try Bench.write(report.json(), to: json) }
        if let html { try Bench.write(Data(report.html.utf8), to: html) }
        if let fault = result.fault { throw CommandFailure(.error, "the figures are of no use: \(fault)") }
    }

    private func measure(_ plan: LoadPlan) async throws -> LoadResult {
        let bars = StageBars()
        defer { bars.end() }
        do {
            return try await LoadRun.perform(plan) { bars.show($0) }
        } catch let error as LoadError {
            throw CommandFailure(.error, error.description)
        }
    }

    private func plan() throws -> LoadPlan {
        var plan = LoadPlan()
        plan.endpoints = try servers.map { text in
            guard let endpoint = LoadEndpoint(text) else {
                throw ValidationError("\"\(text)\" is not host:port")
            }
            return endpoint
        }
        guard let preset = LoadMix.preset(mix) else {
            let names = LoadMix.presets.map(\.name).joined(separator: ", ")
            throw ValidationError("--mix is one of \(names), not \"\(mix)\"")
        }
        plan.mix = preset
        plan.mix.distribution = distribution ?? preset.distribution
        (plan.target, plan.connections, plan.threads, plan.records) = (target, connections, threads, records)
        (plan.valueBytes, plan.rate, plan.warmUpSeconds, plan.seconds) = (valueBytes, rate, warmUp, seconds)
        (plan.timeoutSeconds, plan.seed, plan.prefix) = (timeout, seed, prefix)
        (plan.loads, plan.checks) = (load, check)
        let problems = plan.problems
        guard problems.isEmpty else { throw ValidationError(problems.joined(separator: "; ")) }
        return plan
    }

    /// A bar of its own for each stage, so that its rate is the stage's.
    ///
    /// `@unchecked Sendable`: reports come from one task at a time; the lock is for the compiler and the end.
    private final class StageBars: @unchecked Sendable {
        private let lock = NSLock()
        private var stage = ""
        private var bar = ProgressBar()

        func show(_ progress: LoadRun.Progress) {
            lock.withLock {
                if progress.stage != stage {
                    bar.end()
                    (stage, bar) = (progress.stage, ProgressBar())
                }
                bar.show(stage, UInt64(progress.done), of: UInt64(progress.total))
            }
        }

        func end() { lock.withLock { bar.end() } }
    }
}

extension LoadTarget: ExpressibleByArgument {}

extension LoadDistribution: ExpressibleByArgument {}
