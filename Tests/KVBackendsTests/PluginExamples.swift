import Foundation
import KVBackends
import KVPluginBackend
import KVProtocols

/// The engines in `Sources/Backends/PluginExamples`, built as the guide says, and one more that a person wants to test.
enum PluginExamples {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    private static let names = ["tiny", "page", "rocksdb"]

    /// What kept the examples from being built; `nil` when they are there.
    static let failure: String? = {
        let targets = names.map { ".build/plugins/libkv_\($0).so" }
        let result = run("make", ["--silent", "--directory", root] + targets)
        return result.isSuccess
            ? nil : "make \(targets.joined(separator: " ")) failed, see .ci/install-dependencies: \(result.text)"
    }()

    /// Empty when the examples can't be built, which a test reports. `KV_TEST_PLUGIN` is the path of another library.
    static let engines: [Engine] = {
        var libraries = failure == nil ? names.map(path) : []
        if let mine = ProcessInfo.processInfo.environment["KV_TEST_PLUGIN"] { libraries.append(mine) }
        return libraries.map(engine)
    }()

    static func path(_ name: String) -> String { "\(root)/.build/plugins/libkv_\(name).so" }

    /// The registry's `plugin` with a library; called like the marker in its folders.
    static func engine(_ library: String) -> Engine {
        @Sendable func context(_ context: BackendContext) -> BackendContext {
            var context = context
            context.options[PluginBackend.libraryOption] = .string(library)
            return context
        }
        do {
            let type = try PluginBackend.folderType(context(BackendContext(path: "", partitions: 1)))
            let plugin = try BackendRegistry.factory(type: "plugin")
            return Engine(
                factory: BackendFactory(type: type, summary: "for tests", loadsLibrary: true) {
                    given throws(StorageError) in
                    try plugin.open(context(given))
                }, library: library)
        } catch {
            fatalError("\(error)")
        }
    }

    /// Compiles C into a shared library in `folder`.
    /// - Throws: what the compiler says.
    static func compile(_ source: String, in folder: String, name: String = "test", flags: [String] = []) throws
        -> String
    {
        let file = "\(folder)/\(name).c"
        try source.write(toFile: file, atomically: true, encoding: .utf8)
        let library = "\(folder)/lib\(name).so"
        let environment = ProcessInfo.processInfo.environment
        let compilers = environment["CC"].map { [$0] } ?? ["cc", "clang"]
        let header = "-I\(root)/Sources/Backends/CPlugin"
        let arguments = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", header] + flags + ["-o", library, file]
        var texts: [String] = []
        for compiler in compilers {
            let result = run(compiler, arguments)
            if result.isSuccess { return library }
            texts.append("\(compiler): \(result.text)")
        }
        throw CompilerFailure(description: "no C compiler, or it refuses the source: \(texts.joined(separator: "; "))")
    }

    struct CompilerFailure: Error, CustomStringConvertible {
        var description: String
    }

    /// Runs a program of the search path; what it prints goes into one text.
    private static func run(_ program: String, _ arguments: [String]) -> (isSuccess: Bool, text: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardOutput = pipe
        process.standardError = pipe
        do { try process.run() } catch { return (false, "\(error)") }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus == 0, String(decoding: data, as: UTF8.self))
    }
}
