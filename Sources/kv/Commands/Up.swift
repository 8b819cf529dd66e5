import ArgumentParser
import Foundation
import KVConfiguration
import KVProtocols
import Logging
import ServiceLifecycle
import UnixSignals

/// `kv up`
struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a whole cluster on this machine, one process per node.",
        discussion: """
            Ctrl-C stops it cleanly: the nodes first, then the controller. A process that dies is started again. \
            Warnings and errors of all processes appear here; everything they say is in a file beside each data \
            folder, such as data/worker1.log.
            """)

    @OptionGroup var source: ConfigurationOptions

    @Flag(help: "Leave a process that died as it is.")
    var noRestart = false

    func run() async throws {
        let overrides = source.overrides()
        let cluster = try source.load(overrides)
        let path = source.path(overrides)
        ProcessLimits.prepare()
        let lock = try InstanceLock(path: ClusterSupervisor.beside(cluster.controller.backend.path, ".up"))
        defer { withExtendedLifetime(lock) {} }
        Terminal.say(
            "cluster '\(cluster.name)': \(cluster.nodes.count) nodes, \(cluster.policy.replicas) replicas, "
                + "write quorum \(cluster.policy.write), read quorum \(cluster.policy.read), "
                + (path.map { "from \($0)" } ?? "standard configuration"))
        let supervisor = ClusterSupervisor(
            cluster: cluster, configurationPath: path, executable: try Up.executable(), restarts: !noRestart)
        let quiet = Logger(label: "kv") { _ in SwiftLogNoOpLogHandler() }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: supervisor, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .cancelGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        try await group.run()
        Terminal.say("cluster '\(cluster.name)' is stopped")
    }

    /// This program's own file.
    private static func executable() throws(CommandFailure) -> String {
        guard let path = Bundle.main.executablePath else {
            throw CommandFailure(.error, "can't find this program's own file, which its processes run")
        }
        return path
    }
}
