import ArgumentParser
import Foundation
import KVBackends
import KVConformance
import KVProtocols

/// `kv backend verify`
struct VerifyBackend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Prove that a storage backend keeps its promises on this machine and disk.",
        discussion: """
            Runs the conformance suite in a new folder below DIR, which is removed afterwards. Engines are also run in \
            processes of their own, whose system calls are traced and made to fail: that needs Linux and the permission to \
            use ptrace; cases that can't run here are shown as skipped. Exit code 1 when a case fails.
            """)

    @Argument(help: "The type of the backend; kv backend list shows them.")
    var type: String

    @Option(name: .customLong("path"), help: ArgumentHelp("A folder on the disk to test on.", valueName: "dir"))
    var path: String

    @Option(
        name: .customLong("option"),
        help: ArgumentHelp(
            "An option of the backend, as in the configuration file; may be repeated.", valueName: "name=value"))
    var options: [String] = []

    @Option(help: "Where random choices start; the same seed repeats them.")
    var seed: UInt64 = 1

    @Flag(help: "Take minutes or hours: a million keys, many more power cuts, faults and random calls.")
    var long = false

    @Option(help: ArgumentHelp("Run only the cases whose names contain this.", valueName: "text"))
    var only: String = ""

    @Option(
        help: ArgumentHelp(
            "Run the calls in this file, as a failure prints them, instead of the cases.", valueName: "file"))
    var script: String?

    func run() async throws {
        let factory = try BackendRegistry.factory(type: type)
        let parsed = try VerifyBackend.parse(options, for: factory)
        let folder = try VerifyBackend.newFolder(below: path)
        defer { VerifyBackend.remove(folder) }
        var suite = ConformanceSuite(
            factory, options: parsed, temporaryFolder: folder, seed: seed, worker: .thisProgram, isLong: long)
        if Terminal.Stream.error.isTerminal {
            suite.progress = { Terminal.say("         … \($0)") }
        }
        if let script { return try run(script, suite) }
        let verification = ConformanceVerification(suite, only: only)
        guard !verification.cases.isEmpty else {
            throw CommandFailure(.error, "no case has \"\(only)\" in its name; leave out --only to see them all")
        }
        let summary = verification.run { Terminal.print(Terminal.printable($0.text, keepingLines: true)) }
        Terminal.print(summary.text)
        // Everything was said.
        if summary.failed > 0 { throw CommandFailure(.error, "") }
    }

    private func run(_ file: String, _ suite: ConformanceSuite) throws {
        do {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            try suite.run(OperationScript(text))
            Terminal.print("the answers are right")
        } catch let failure as ConformanceFailure {
            throw CommandFailure(.error, failure.message)
        } catch {
            throw CommandFailure(.error, "\(file) can't be read: \(error.localizedDescription)")
        }
    }

    /// What the configuration file would have in `options`, and for a plugin its library.
    static func parse(_ options: [String], for factory: BackendFactory) throws -> [String: OptionValue] {
        let parsed = try BackendOption.parse(options)
        for name in parsed.keys.sorted() where !factory.loadsLibrary && !factory.options.contains(name) {
            let known = factory.options.isEmpty ? "none" : factory.options.joined(separator: ", ")
            throw ValidationError("the backend \"\(factory.type)\" has no option \(name); it has: \(known)")
        }
        return parsed
    }

    private static func newFolder(below path: String) throws -> String {
        let folder = URL(fileURLWithPath: path).appendingPathComponent("verify-\(UUID().uuidString)").path
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw CommandFailure(.error, "no folder can be created in \(path): \(error.localizedDescription)")
        }
        return folder
    }

    private static func remove(_ folder: String) {
        do {
            try FileManager.default.removeItem(atPath: folder)
        } catch {
            Terminal.complain("\(folder) can't be removed: \(error.localizedDescription)")
        }
    }
}
