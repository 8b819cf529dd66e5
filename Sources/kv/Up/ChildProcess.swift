import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A process of this program that was started by it.
///
/// Its standard input is a pipe whose other end only this process holds: when this process ends, however it ends, the
/// child sees the end of its input and stops cleanly. It leads a process group of its own, so that Ctrl-C in the
/// terminal reaches this process alone, which then stops its children in order.
final class ChildProcess: Sendable {
    /// How a process ended.
    enum Ending: Hashable, Sendable, CustomStringConvertible {
        case status(Int32)
        case signal(Int32)

        var description: String {
            switch self {
            case .status(let status): "ended with status \(status)"
            case .signal(let signal): "was killed by signal \(signal) (\(String(cString: strsignal(signal))))"
            }
        }
    }

    private struct State {
        /// Absent once the process was waited for: its number may then belong to another one.
        var process: pid_t?
        var input: Int32
        var ending: Ending?
        var waiting: [CheckedContinuation<Ending, Never>] = []
    }

    let processID: pid_t
    private let state: Mutex<State>

    /// Starts `executable` with `arguments`.
    /// - Parameter onLine: is called with every line of its standard error (output goes there too), on a thread of its own, in order.
    /// - Throws: `CommandFailure` when the system has no process, thread or pipe for it.
    init(
        executable: String, arguments: [String], onLine: @escaping @Sendable (Substring) -> Void
    ) throws(CommandFailure) {
        let started = try ChildProcess.start(executable, arguments)
        let output = started.output
        processID = started.process
        state = Mutex(State(process: started.process, input: started.input))
        do throws(CommandFailure) {
            try BlockingThread.start(name: "kv-child") { [self] in
                ChildProcess.readLines(output, onLine)
                close(output)
                reap()
            }
        } catch {
            // Nobody would read what it says, or take note of its end.
            destroy()
            close(output)
            reap()
            throw error
        }
    }

    /// Waits for its end.
    var ending: Ending {
        get async {
            await withCheckedContinuation { continuation in
                let ending = state.withLock { state in
                    if state.ending == nil { state.waiting.append(continuation) }
                    return state.ending
                }
                if let ending { continuation.resume(returning: ending) }
            }
        }
    }

    /// Asks it to stop cleanly. Harmless when repeated, or when it ended.
    func stop() {
        state.withLock { state in
            if state.input >= 0 { close(state.input) }
            state.input = -1
            if let process = state.process { _ = kill(process, SIGTERM) }
        }
    }

    /// Ends it at once.
    func destroy() {
        state.withLock { state in
            if let process = state.process { _ = kill(process, SIGKILL) }
        }
    }

    private func reap() {
        var information = siginfo_t()
        while waitid(P_PID, id_t(processID), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        let (ending, waiting) = state.withLock { state in
            var status: Int32 = 0
            _ = waitpid(processID, &status, 0)
            let signal = status & 0x7F
            let ending = signal == 0 ? Ending.status(status >> 8 & 0xFF) : .signal(signal)
            state.process = nil
            if state.input >= 0 { close(state.input) }
            state.input = -1
            state.ending = ending
            defer { state.waiting = [] }
            return (ending, state.waiting)
        }
        for continuation in waiting { continuation.resume(returning: ending) }
    }
}

// MARK: The system's side

extension ChildProcess {
    /// Lines longer than this arrive in pieces.
    private static let maximumLineLength = 64 << 10

    /// One at a time: a process that is started between the creation of another's pipe and the moment when it is marked
    /// to be closed would inherit it, and keep it open.
    private static let starting = Mutex<Void>(())

    /// The process, the end of its input that is written, and the end of its output that is read.
    private static func start(
        _ executable: String, _ arguments: [String]
    ) throws(CommandFailure) -> (process: pid_t, input: Int32, output: Int32) {
        try starting.withLock { _ throws(CommandFailure) in
            let input = try makePipe()
            defer { close(input.read) }
            var opened = [input.write]
            do throws(CommandFailure) {
                let output = try makePipe()
                defer { close(output.write) }
                opened.append(output.read)
                let process = try spawn(executable, arguments, input: input.read, output: output.write)
                return (process, input.write, output.read)
            } catch {
                for descriptor in opened { close(descriptor) }
                throw error
            }
        }
    }

    private static func makePipe() throws(CommandFailure) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw CommandFailure(.error, "no pipe for a process: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func spawn(
        _ executable: String, _ arguments: [String], input: Int32, output: Int32
    ) throws(CommandFailure) -> pid_t {
        #if canImport(Glibc)
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        #else
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        posix_spawnattr_setpgroup(&attributes, 0)
        // The signals that this process blocks or ignores for itself are the child's own business.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        var argumentPointers = ([executable] + arguments).map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, executable, &actions, &attributes, &argumentPointers, &environmentPointers)
        guard result == 0 else {
            throw CommandFailure(.error, "can't start \(executable): \(String(cString: strerror(result)))")
        }
        return process
    }

    private static func readLines(_ descriptor: Int32, _ onLine: (Substring) -> Void) {
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            for byte in chunk[..<count] {
                if byte != UInt8(ascii: "\n") { pending.append(byte) }
                if byte == UInt8(ascii: "\n") || pending.count >= maximumLineLength {
                    onLine(Substring(decoding: pending, as: UTF8.self))
                    pending.removeAll(keepingCapacity: true)
                }
            }
        }
        if !pending.isEmpty { onLine(Substring(decoding: pending, as: UTF8.self)) }
    }
}
