import KVConfiguration
import ServiceLifecycle

/// Runs the processes of a cluster: starts the controller, then the nodes; starts again what died; stops the nodes,
/// then the controller.
final class ClusterSupervisor: Service {
    typealias Member = ProcessKeeper.Member

    let cluster: ClusterConfiguration
    let controller: Member
    let nodes: [Member]
    private let executable: String
    private let restarts: Bool
    private let watcher: ClusterWatcher
    private let longestName: Int

    /// - Parameters:
    ///   - configurationPath: handed on to every process; `nil` for the standard configuration.
    ///   - restarts: whether a process that dies is started again.
    init(cluster: ClusterConfiguration, configurationPath: String?, executable: String, restarts: Bool) {
        self.cluster = cluster
        self.executable = executable
        self.restarts = restarts
        let common = ["--stop-on-end-of-input"] + (configurationPath.map { ["--config", $0] } ?? [])
        controller = Member(
            name: "controller", arguments: ["controller"] + common,
            logPath: ClusterSupervisor.beside(cluster.controller.backend.path, ".log"))
        nodes = cluster.nodes.map {
            Member(
                name: $0.name, arguments: ["node", "--name", $0.name] + common,
                logPath: ClusterSupervisor.beside($0.backend.path, ".log"))
        }
        longestName = ([controller] + nodes).map(\.name.count).max() ?? 0
        watcher = ClusterWatcher(cluster: cluster)
    }

    /// The path of a file next to a data folder.
    static func beside(_ folder: String, _ suffix: String) -> String {
        var path = folder[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path + suffix
    }

    /// Works until told to stop.
    /// - Throws: `CommandFailure` when a process could not start before the cluster was healthy for the first time.
    func run() async throws {
        try await cancelWhenGracefulShutdown { [self] in
            // Finished when no node runs any more: only then the controller is told to stop.
            let (nodesGone, gate) = AsyncStream<Never>.makeStream()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    try await supervise(controller) { for await _ in nodesGone {} }
                }
                group.addTask { [self] in
                    defer { gate.finish() }
                    guard await watcher.waitForController() else { return }
                    try await runNodes()
                }
                while try await group.next() != nil {}
            }
        }
    }

    private func runNodes() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in nodes { group.addTask { [self] in try await supervise(node) {} } }
            group.addTask { [self] in await watcher.watch() }
            while try await group.next() != nil {}
        }
    }

    /// Keeps one process running until cancelled.
    /// - Parameter mayStop: returns when the process may be told to stop.
    private func supervise(_ member: Member, mayStop: @escaping @Sendable () async -> Void) async throws {
        let keeper = ProcessKeeper(
            member: member, executable: executable, restarts: restarts, wasHealthy: { [watcher] in watcher.wasHealthy },
            show: { [self] in show(member.name, $0) })
        try await keeper.run(mayStop: mayStop)
    }

    /// A line about, or of, a process for the person at the terminal.
    private func show(_ name: String, _ line: String) {
        let padding = String(repeating: " ", count: longestName - name.count)
        Terminal.say("\(name)\(padding) | \(Terminal.printable(line))")
    }
}
