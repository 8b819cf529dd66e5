import Logging
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Keeps one process of a cluster running: starts it, starts it again when it died, stops it.
struct ProcessKeeper: Sendable {
    /// A process that has not stopped by itself after this is killed.
    static let patience = Duration.seconds(20)

    /// One process: its name for people, what it runs, where its log goes.
    struct Member: Hashable {
        var name: String
        var arguments: [String]
        var logPath: String
    }

    let member: Member
    let executable: String
    /// Whether it is started again when it died.
    let restarts: Bool
    /// Whether the cluster was healthy at any time. Until then a process that can't run is a reason to give up: most
    /// often the configuration is wrong.
    let wasHealthy: @Sendable () -> Bool
    /// Shows a line about, or of, the process to the person at the terminal.
    let show: @Sendable (String) -> Void

    /// Keeps it running until cancelled; then returns when it has stopped.
    /// - Parameter mayStop: returns when the process may be told to stop.
    /// - Throws: `CommandFailure` when its log can't be written, or it could not run before the cluster was healthy.
    func run(mayStop: @escaping @Sendable () async -> Void) async throws(CommandFailure) {
        let log = Mutex(try LogFile(path: member.logPath))
        var backOff = BackOff()
        while !Task.isCancelled {
            let begun = ContinuousClock.now
            let trouble: String
            do throws(CommandFailure) {
                let child = try ChildProcess(executable: executable, arguments: member.arguments) { [self] line in
                    log.withLock { $0.append(line) }
                    if let level = LogLine.level(of: line), level < .warning { return }
                    show(String(line))
                }
                let ending = await wait(for: child, mayStop)
                if Task.isCancelled { return showStop(ending) }
                guard wasHealthy() else {
                    throw CommandFailure(.error, "\(member.name) could not start: it \(ending)")
                }
                trouble = "\(ending)"
            } catch {
                // Once the cluster works, what one process lacks does not stop the others: there may be room for it again
                // in a moment, or the program's file that is being replaced is back.
                guard wasHealthy() else { throw error }
                trouble = error.message
            }
            guard restarts else { return show("\(trouble); it is not started again (--no-restart)") }
            let delay = backOff.delay(afterRunning: ContinuousClock.now - begun)
            show("\(trouble); it is started again in \(delay.milliseconds) ms")
            do { try await Task.sleep(for: delay) } catch { return }
        }
    }

    private func showStop(_ ending: ChildProcess.Ending) {
        // The signal alone ends a process that is not yet up, and has nothing to stop.
        guard ending != .status(0), ending != .signal(SIGTERM) else { return }
        show("did not stop cleanly: it \(ending)")
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
                do { try await Task.sleep(for: ProcessKeeper.patience) } catch { return }
                child.destroy()
            }
            impatience.withLock { $0 = task }
        }
        impatience.withLock { $0?.cancel() }
        return ending
    }
}
