import ArgumentParser
import KVBackends
import KVProtocols

/// `kv backend`
struct Backends: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backend", abstract: "Storage backends.",
        subcommands: [ListBackends.self, VerifyBackend.self, ConvertBackend.self])

    struct ListBackends: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the backends of this program and their options.")

        @OptionGroup var output: OutputOptions

        func run() async throws {
            if output.output == .raw {
                for factory in BackendRegistry.standard { Terminal.print(factory.type) }
                return
            }
            var table = Table("type", "options", "summary")
            for factory in BackendRegistry.standard {
                table.add(factory.type, factory.options.sorted().joined(separator: " "), factory.summary)
            }
            table.print()
        }
    }
}
