import KVConfiguration
import Logging
import ServiceLifecycle
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Runs the processes of a cluster: starts the controller, then the nodes; starts again what died; stops the nodes,
/// then the controller.
final class ClusterSupervisor: Service {
    /// A process that has not stopped by itself after this is killed.
    static let patience = Duration.seconds(20)

    /// One process: its name for people, what it runs, where its log goes.
    struct Member: Hashable {
        var name: String
        var arguments: [String]
        var logPath: String
    }

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
        let log = Mutex(try LogFile(path: member.logPath))
        let lastWords = Mutex("")
        var backOff = BackOff()
        while !Task.isCancelled {
            let started = ContinuousClock.now
            let child = try ChildProcess(executable: executable, arguments: member.arguments) { [self] line in
                log.withLock { $0.append(line) }
                if let level = LogLine.level(of: line), level < .warning { return }
                lastWords.withLock { $0 = String(line) }
                show(member.name, String(line))
            }
            let ending = await wait(for: child, mayStop)
            if Task.isCancelled {
                // The signal alone ends a process that is not yet up, and has nothing to stop.
                if ending != .status(0), ending != .signal(SIGTERM) {
                    show(member.name, "did not stop cleanly: it \(ending)")
                }
                return
            }
            guard watcher.wasHealthy else {
                throw CommandFailure(.error, "\(member.name) could not start: it \(ending)")
            }
            guard restarts else { return show(member.name, "\(ending); it is not started again (--no-restart)") }
            let delay = backOff.delay(afterRunning: ContinuousClock.now - started)
            show(member.name, "\(ending); it is started again in \(delay.milliseconds) ms")
            do { try await Task.sleep(for: delay) } catch { return }
        }
    }

    private func wait(
        for child: ChildProcess, _ mayStop: @escaping @Sendable () async -> Void
    ) async -> ChildProcess.Ending {
        let impatience = Mutex<Task<Void, Never>?>(nil)
        let ending = await withTaskCancellationHandler {
            await child.ending
        } onCancel: {
            let task = Task {
                await mayStop()
                child.stop()
                do { try await Task.sleep(for: ClusterSupervisor.patience) } catch { return }
                child.destroy()
            }
            impatience.withLock { $0 = task }
        }
        impatience.withLock { $0?.cancel() }
        return ending
    }

    /// A line about, or of, a process for the person at the terminal.
    private func show(_ name: String, _ line: String) {
        let padding = String(repeating: " ", count: longestName - name.count)
        Terminal.say("\(name)\(padding) | \(Terminal.printable(line))")
    }
}
