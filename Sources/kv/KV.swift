import ArgumentParser
import KVBackends
import KVConformance

/// The one command: servers, a whole cluster on this machine, and a client.
@main
struct KV: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kv",
        abstract: "A replicated key-value store.",
        discussion: """
            Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 error, 3 not found, \
            4 precondition failed, 5 no quorum (nothing was written), 6 outcome unknown, 64 wrong usage.
            """,
        groupedSubcommands: [
            CommandGroup(name: "Running:", subcommands: [Up.self, RunController.self, RunNode.self]),
            CommandGroup(
                name: "Keys:", subcommands: [Get.self, Put.self, Delete.self, Increment.self, List.self, Replicas.self]),
            CommandGroup(
                name: "Cluster:",
                subcommands: [
                    Status.self, Nodes.self, Map.self, Moves.self, Events.self, Health.self, Drain.self, Undrain.self,
                    Remove.self, Alarm.self,
                ]),
            CommandGroup(
                name: "Other:",
                subcommands: [Config.self, Backends.self, Snapshot.self, Bench.self, Version.self, Completion.self]),
        ])

    static func main() async {
        // `kv backend verify` starts this program again, to run an engine in a process that it can watch and kill.
        ConformanceWorker.runIfAsked(CommandLine.arguments, BackendRegistry.standard)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error)
        }
    }

    /// Says what went wrong, once and without a trace, and ends the process.
    private static func end(with error: any Error) -> Never {
        guard let failure = CommandFailure(error) else { exit(withError: error) }
        if !failure.message.isEmpty { Terminal.complain(failure.message) }
        exit(withError: ExitCode(failure.code.rawValue))
    }
}
