import ArgumentParser
import Foundation
import KVBackendBaselines
import KVBackendBench
import KVBackends
import KVProtocols

/// `kv bench`
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure storage engines, or a cluster under load.",
        subcommands: [BenchBackends.self, BenchCluster.self])

    static func write(_ content: Data, to file: String) throws {
        do {
            try content.write(to: URL(filePath: file), options: .atomic)
        } catch {
            throw CommandFailure(.error, "\(file) can't be written: \(error.localizedDescription)")
        }
    }
}

/// `kv bench backends`
struct BenchBackends: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backends",
        abstract: "Compare storage engines with each other and with raw calls of their libraries.",
        discussion: """
            Every store gets a folder of its own below --path, removed afterwards. Measure on the disk that will hold the \
            data: a folder in memory shows processor time only. The tables go to standard output.
            """)

    @Option(help: "An existing folder to put the stores into.", completion: .directory) var path = "."
    @Option(help: "Engines, separated by commas; all durable ones unless given.") var engines: String?
    @Option(help: ArgumentHelp("An engine out of a shared library, too; may be repeated.", valueName: "library"))
    var plugin: [String] = []
    @Option(help: "Some of: \(BenchMix.allCases.map(\.rawValue).joined(separator: ",")).") var mixes: String?
    @Option(help: "Lengths of values in bytes, separated by commas.") var sizes: String?
    @Option(help: "Numbers of callers at once, whose operations form batches.") var writers: String?
    @Option(help: "Seconds within calls for each cell and round.") var seconds: Double?
    @Option(help: "Operations after which a cell ends earlier.") var operations: Int?
    @Option(help: "How often everything is measured, on fresh stores each time.") var rounds: Int?
    @Option(help: "Keys of each store, fewer when values are long.") var keys: Int?
    @Option(help: "Write everything that was measured to this file.") var json: String?
    @Option(help: "Write a page with plots to this file.") var html: String?
    @Flag(help: "Leave the raw calls out.") var noBaselines = false
    @Flag(help: "Also measure raw calls that verify what they read.") var checked = false
    @Flag(help: "A minute for a first look: two rounds, short cells, two sizes.") var quick = false

    func run() async throws {
        let runner = try BenchRunner(try plan(), try contenders(), folder: path)
        let bar = ProgressBar()
        let report = try runner.run { progress in
            bar.show(Terminal.printable(progress.label), UInt64(progress.done), of: UInt64(progress.total))
        }
        bar.end()
        Terminal.write(Array(report.text.utf8))
        if let json { try Bench.write(Data(report.json.utf8), to: json) }
        if let html { try Bench.write(Data(report.html.utf8), to: html) }
    }

    private func plan() throws -> BenchPlan {
        var plan = BenchPlan()
        if quick {
            (plan.rounds, plan.seconds, plan.sizes, plan.keys) = (2, 0.1, [100, 1024], 5000)
        }
        if let mixes {
            plan.mixes = try BenchBackends.list(mixes).map { name in
                guard let mix = BenchMix(rawValue: name) else {
                    let known = BenchMix.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ValidationError("there is no mix \"\(name)\"; use some of: \(known)")
                }
                return mix
            }
        }
        if let sizes { plan.sizes = try BenchBackends.numbers(sizes, "--sizes") }
        if let writers { plan.writers = try BenchBackends.numbers(writers, "--writers") }
        plan.seconds = seconds ?? plan.seconds
        plan.operations = operations ?? plan.operations
        plan.rounds = rounds ?? plan.rounds
        plan.keys = keys ?? plan.keys
        return plan
    }

    private func contenders() throws -> [BenchContender] {
        let durable = BackendRegistry.standard.filter { !$0.loadsLibrary }.map(\.type).filter { $0 != "memory" }
        let plugins = plugin.map { BenchContender(engine: BenchBackends.plugin($0), baseline: nil) }
        return try plugins
            + (engines.map(BenchBackends.list) ?? durable).flatMap { type in
                let raw = noBaselines ? [] : Baselines.of(engine: type)
                let engine = BenchContender(engine: try BackendRegistry.factory(type: type), baseline: raw.first?.name)
                return [engine] + (checked ? raw : Array(raw.prefix(1)))
            }
    }

    /// The registry's `plugin` with a library, called like the library's file.
    private static func plugin(_ library: String) -> BackendFactory {
        let file = library.split(separator: "/").last.map(String.init) ?? library
        return BackendFactory(type: file, summary: library, loadsLibrary: true) { context throws(StorageError) in
            var context = context
            context.options[BackendFactory.libraryOption] = .string(library)
            return try BackendRegistry.open(type: "plugin", context)
        }
    }

    private static func list(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

    private static func numbers(_ text: String, _ option: String) throws -> [Int] {
        try list(text).map { item in
            guard let number = Int(item) else {
                throw ValidationError("\(option) takes whole numbers separated by commas, not \"\(item)\"")
            }
            return number
        }
    }
}
