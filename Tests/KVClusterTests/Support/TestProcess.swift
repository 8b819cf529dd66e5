import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A process started by a test. Its standard input is a pipe that only the test holds, so that a server told to stop at
/// the end of its input goes away with the test, however the test ends.
final class TestProcess: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private struct State {
        /// Absent once the process was waited for: its number may then belong to another one.
        var process: pid_t?
        var input: Int32
        var status: Int32?
        var waiting: [CheckedContinuation<Int32, Never>] = []
    }

    let id: pid_t
    private let outputPath: String
    private let errorPath: String
    private let state: Mutex<State>

    /// - Parameter log: where output and errors go: this path with `.out` and `.err`, appended.
    init(
        _ executable: String, _ arguments: [String], log: String, folder: String? = nil,
        environment: [String: String] = Executable.environment
    ) throws {
        // `exec` keeps the process's number.
        let command =
            folder.map { ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", $0, executable] + arguments }
            ?? [executable] + arguments
        outputPath = log + ".out"
        errorPath = log + ".err"
        // One at a time: another child must not inherit a pipe before it is marked as closed on exec.
        let started = try TestProcess.starting.withLock { _ in
            let input = try TestProcess.pipe()
            defer { close(input.read) }
            do {
                let process = try TestProcess.spawn(
                    command, environment, input: input.read, output: log + ".out", errors: log + ".err")
                return State(process: process, input: input.write)
            } catch {
                close(input.write)
                throw error
            }
        }
        id = started.process ?? 0
        state = Mutex(started)
        Thread.detachNewThread { [self] in reap() }
    }

    private static let starting = Mutex(())

    private static func spawn(
        _ command: [String], _ environment: [String: String], input: Int32, output: String, errors: String
    ) throws -> pid_t {
        var actions = TestProcess.fileActions()
        defer { posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, flags, 0o600)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, flags, 0o600)
        var argumentPointers = command.map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, command[0], &actions, nil, &argumentPointers, &environmentPointers)
        guard result == 0 else {
            throw Failure(description: "can't start \(command[0]): \(String(cString: strerror(result)))")
        }
        return process
    }

    var isRunning: Bool { state.withLock { $0.status == nil } }
    var output: String { TestProcess.text(outputPath) }
    var errors: String { TestProcess.text(errorPath) }

    /// Waits for its end: the exit status, or the negative number of the signal that killed it.
    var ending: Int32 {
        get async {
            await withCheckedContinuation { continuation in
                let status = state.withLock { state in
                    if state.status == nil { state.waiting.append(continuation) }
                    return state.status
                }
                if let status { continuation.resume(returning: status) }
            }
        }
    }

    /// Sends a signal, unless the process has ended.
    func signal(_ number: Int32) {
        state.withLock { state in
            if let process = state.process { _ = Self.send(number, to: process) }
        }
    }

    /// Ends it at once and waits until it is gone.
    func destroy() async {
        signal(SIGKILL)
        _ = await ending
    }

    /// Asks it to stop cleanly; kills it when it has not after `limit`.
    /// - Returns: as `ending`.
    func stop(_ number: Int32 = SIGTERM, within limit: Duration = .seconds(60)) async -> Int32 {
        signal(number)
        return await ending(within: limit)
    }

    /// As `ending`, but kills the process when it takes longer.
    func ending(within limit: Duration) async -> Int32 {
        let impatience = Task {
            try await Task.sleep(for: limit)
            signal(SIGKILL)
        }
        defer { impatience.cancel() }
        return await ending
    }

    /// Writes to its standard input and closes that.
    func finishInput(_ bytes: [UInt8] = []) {
        state.withLock { state in
            guard state.input >= 0 else { return }
            _ = bytes.withUnsafeBytes { write(state.input, $0.baseAddress, $0.count) }
            close(state.input)
            state.input = -1
        }
    }

    private static func send(_ number: Int32, to process: pid_t) -> Int32 { kill(process, number) }

    private func reap() {
        var information = siginfo_t()
        while waitid(P_PID, id_t(id), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        let (status, waiting) = state.withLock { state in
            var status: Int32 = 0
            _ = waitpid(id, &status, 0)
            let signal = status & 0x7F
            let ending = signal == 0 ? status >> 8 & 0xFF : -signal
            state.process = nil
            state.status = ending
            if state.input >= 0 { close(state.input) }
            state.input = -1
            defer { state.waiting = [] }
            return (ending, state.waiting)
        }
        for continuation in waiting { continuation.resume(returning: status) }
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// Both ends closed in every other child, or that child would keep this one's input open.
    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        #if canImport(Glibc)
        let result = Glibc.pipe(&ends)
        #else
        let result = Darwin.pipe(&ends)
        #endif
        guard result == 0 else { throw Failure(description: "no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    #if canImport(Glibc)
    private static func fileActions() -> posix_spawn_file_actions_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        return actions
    }
    #else
    private static func fileActions() -> posix_spawn_file_actions_t? {
        var actions: posix_spawn_file_actions_t?
        posix_spawn_file_actions_init(&actions)
        return actions
    }
    #endif
}

/// What a command that ran to its end left behind.
struct CommandResult {
    /// As `TestProcess.ending`.
    var status: Int32
    var output: String
    var errors: String
}

/// Runs a program to its end, which a hanging one finds after `limit`.
func run(
    _ executable: String, _ arguments: [String], input: String = "", log: String, folder: String? = nil,
    environment: [String: String] = Executable.environment, within limit: Duration = .seconds(60)
) async throws -> CommandResult {
    let process = try TestProcess(
        executable, arguments, log: "\(log)-\(UInt32.random(in: .min ... .max))", folder: folder,
        environment: environment)
    process.finishInput(Array(input.utf8))
    let status = await process.ending(within: limit)
    return CommandResult(status: status, output: process.output, errors: process.errors)
}
