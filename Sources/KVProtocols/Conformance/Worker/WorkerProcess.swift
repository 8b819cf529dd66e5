import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// How a worker ended.
struct WorkerEnd: CustomStringConvertible {
    let status: Int32

    var isSuccess: Bool { status == 0 }
    var hasTakenTooLong: Bool { status & 0x7F == SIGALRM }

    var description: String {
        let signal = status & 0x7F
        if hasTakenTooLong { return "it took too long and was ended" }
        if signal != 0 { return "it was ended by the signal \(signal) (\(String(cString: strsignal(signal))))" }
        return "it ended with the exit code \(status >> 8 & 0xFF)"
    }
}

/// A worker that was started and waits for `letGo`. It writes marks to descriptor 3: what it is about to do, and what came
/// of it.
final class WorkerProcess {
    static let markDescriptor: Int32 = 3

    /// Held while a process is started. Until its program begins it has copies of all descriptors of this one, and with them
    /// the locks of stores that are closed meanwhile.
    fileprivate static let starting = Mutex<Void>(())

    let process: pid_t
    private let gate: Int32
    private let marks: String
    private let complaints: String

    /// - Parameter scratch: a path whose extensions `.marks` and `.errors` may be used for files.
    init(_ worker: ConformanceWorker, _ job: WorkerJob, scratch: String) throws {
        marks = scratch + ".marks"
        complaints = scratch + ".errors"
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, WorkerProcess.stream, 0, &ends) == 0 else {
            throw ConformanceFailure("no pair of sockets: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        #if canImport(Glibc)
        var actions = posix_spawn_file_actions_t()
        #else
        var actions: posix_spawn_file_actions_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, complaints, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(
            &actions, WorkerProcess.markDescriptor, marks, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
        let words = [worker.executable] + worker.arguments + job.arguments
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var started: pid_t = 0
        var hasBegun = true
        let code = WorkerProcess.starting.withLock { _ in
            let code = posix_spawn(&started, worker.executable, &actions, nil, &pointers, environ)
            close(ends[0])
            if code == 0 { hasBegun = WorkerProcess.awaitBeginning(ends[1], seconds: worker.secondsToBegin) }
            if !hasBegun { WorkerProcess.kill(started) }
            return code
        }
        guard code == 0 else {
            close(ends[1])
            throw ConformanceFailure(
                "the worker \(worker.executable) can't be started: \(String(cString: strerror(code)))")
        }
        guard hasBegun else {
            close(ends[1])
            throw ConformanceFailure(
                "the worker \(worker.executable) did not begin within \(worker.secondsToBegin) s: its main has to call "
                    + "ConformanceWorker.runIfAsked first, with the arguments of the command line")
        }
        process = started
        gate = ends[1]
    }

    /// Waits for the program's first byte, or its end: that it was started doesn't say that its copies of descriptors are
    /// gone.
    /// - Returns: whether either came in time.
    private static func awaitBeginning(_ gate: Int32, seconds: Int32) -> Bool {
        let deadline = ContinuousClock.now + .seconds(Int64(seconds))
        var wanted = pollfd(fd: gate, events: Int16(POLLIN), revents: 0)
        var found: Int32
        repeat {
            let left = (deadline - ContinuousClock.now).components
            found = poll(&wanted, 1, max(0, Int32(left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000)))
        } while found < 0 && errno == EINTR
        var byte: UInt8 = 0
        if found > 0 { while read(gate, &byte, 1) < 0, errno == EINTR {} }
        return found > 0
    }

    deinit {
        close(gate)
        unlink(marks)
        unlink(complaints)
    }

    #if canImport(Glibc)
    private static let stream = Int32(SOCK_STREAM.rawValue)
    #else
    private static let stream = SOCK_STREAM
    #endif

    /// Lets it begin with its work.
    func letGo() {
        var byte: UInt8 = 1
        // A worker that is gone already is noticed by whoever waits for it.
        #if canImport(Glibc)
        _ = send(gate, &byte, 1, Int32(MSG_NOSIGNAL))
        #else
        _ = write(gate, &byte, 1)
        #endif
    }

    func kill() { WorkerProcess.kill(process) }

    func wait() -> WorkerEnd { WorkerProcess.wait(process) }

    private static func kill(_ process: pid_t) {
        #if canImport(Glibc)
        _ = Glibc.kill(process, SIGKILL)
        #else
        _ = Darwin.kill(process, SIGKILL)
        #endif
        _ = wait(process)
    }

    @discardableResult
    private static func wait(_ process: pid_t) -> WorkerEnd {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return WorkerEnd(status: status)
    }

    /// What it has said so far.
    var saidMarks: [String] {
        FileTree.content(marks).split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The last lines of what it wrote to standard error, such as the message of a trap.
    var lastWords: String {
        let text = String(decoding: FileTree.content(complaints).suffix(600), as: UTF8.self)
        return text.isEmpty ? "" : "; it wrote: \(text.split(separator: "\n").suffix(4).joined(separator: " / "))"
    }
}

extension ConformanceWorker {
    /// Waits until no worker that is being started keeps the locks of a store that was closed before this call.
    package static func awaitStarts() { WorkerProcess.starting.withLock { _ in } }
}
