import ArgumentParser
import Foundation
import KVBackends
import KVConfiguration

/// Which configuration, for every command that reads one.
struct ConfigurationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The configuration of the cluster; else KV_CONFIG, else four nodes on this machine.", valueName: "file"),
        completion: .file(extensions: ["json"]))
    var config: String?

    /// Variables of the client, which a server does not mind.
    private static let clientVariables = ["KV_URL"]

    /// What flags and environment say, without anything of the file.
    func overrides() -> Overrides {
        Overrides(environment: ProcessInfo.processInfo.environment, alsoKnown: ConfigurationOptions.clientVariables)
    }

    /// The path to read, if there is any.
    func path(_ overrides: Overrides) -> String? { config ?? overrides.file }

    /// Reads and checks the file, or what is used without one.
    /// - Throws: `ConfigurationProblems`, all at once.
    func load(_ overrides: Overrides) throws(ConfigurationProblems) -> ClusterConfiguration {
        guard let path = path(overrides) else {
            return try ClusterConfiguration.load(
                text: ClusterConfiguration.standardText, source: "(standard configuration)", overrides: overrides,
                knownBackends: BackendRegistry.standard)
        }
        return try ClusterConfiguration.load(path: path, overrides: overrides, knownBackends: BackendRegistry.standard)
    }
}

/// The options that both kinds of server have.
struct ServerOptions: ParsableArguments {
    @OptionGroup var configuration: ConfigurationOptions

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel: String?

    @Option(help: ArgumentHelp("text or json.", valueName: "format"))
    var logFormat: String?

    @Flag(help: "Stop cleanly when standard input ends, as `kv up` tells its processes to stop.")
    var stopOnEndOfInput = false

    func overrides() -> Overrides {
        var overrides = configuration.overrides()
        if let logLevel { overrides.set(.logLevel, to: logLevel, flag: "--log-level") }
        if let logFormat { overrides.set(.logFormat, to: logFormat, flag: "--log-format") }
        return overrides
    }
}
