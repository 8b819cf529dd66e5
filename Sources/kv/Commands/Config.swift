import ArgumentParser
import KVConfiguration
import KVProtocols

/// `kv config`
struct Config: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check and show configurations.", subcommands: [Check.self, Show.self, Schema.self])

    /// A configuration by flag or as the only argument.
    struct Source: ParsableArguments {
        @OptionGroup var options: ConfigurationOptions
        @Argument(help: "The same as --config.", completion: .file(extensions: ["json"])) var file: String?

        func load() throws -> (configuration: ClusterConfiguration, name: String) {
            guard file == nil || options.config == nil else {
                throw ValidationError("name the file once: as an argument or with --config")
            }
            var options = options
            options.config = file ?? options.config
            let overrides = options.overrides()
            return (try options.load(overrides), options.path(overrides) ?? "the standard configuration")
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Report everything that is wrong with a configuration, with its place.")

        @OptionGroup var source: Source

        func run() async throws {
            let (configuration, name) = try source.load()
            Terminal.say(
                "\(name) is right: \(configuration.nodes.count) nodes, \(configuration.policy.replicas) replicas")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the configuration in force, with every default written out.")

        @OptionGroup var source: Source

        func run() async throws {
            Terminal.write(Array(try source.load().configuration.json.utf8))
        }
    }

    struct Schema: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the JSON Schema of configurations.")

        func run() async throws {
            Terminal.write(Array(ClusterConfiguration.schemaText.utf8))
        }
    }
}
