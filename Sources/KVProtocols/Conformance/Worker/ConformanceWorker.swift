public import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// How to start a process in which the engine under test runs, so that its system calls can be watched and made to fail,
/// and so that its end is not the end of the suite.
///
/// Any executable will do whose `main` begins with `ConformanceWorker.runIfAsked(CommandLine.arguments, factories)`; most
/// often the program that runs the suite itself.
public struct ConformanceWorker: Sendable {
    /// The path of the executable.
    public let executable: String
    /// What comes before the worker's own arguments.
    public let arguments: [String]
    /// How long it may take from its start to `runIfAsked`.
    package var secondsToBegin: Int32 = 30

    public init(executable: String, arguments: [String] = []) {
        self.executable = executable
        self.arguments = arguments
    }

    /// The running program as its own worker; `nil` where its path can't be found out.
    public static var thisProgram: ConformanceWorker? {
        #if os(Linux)
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { return nil }
        return ConformanceWorker(
            executable: String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self))
        #else
        CommandLine.arguments.first.map { ConformanceWorker(executable: $0) }
        #endif
    }

    /// Does a worker's work and ends the process when the arguments ask for it; returns otherwise. Call it first in `main`,
    /// before any thread is started.
    /// - Parameters:
    ///   - arguments: of the command line, the program's name first.
    ///   - factories: where the engine under test is found by its type.
    ///   - prefix: the `arguments` of the `ConformanceWorker`, if it has any.
    public static func runIfAsked(
        _ arguments: [String], _ factories: [BackendFactory], behind prefix: [String] = []
    ) {
        let start = prefix + [WorkerJob.word]
        guard arguments.dropFirst().starts(with: start) else { return }
        guard let job = WorkerJob(Array(arguments.dropFirst(1 + start.count))) else {
            end("the arguments can't be understood")
        }
        guard let factory = factories.first(where: { $0.type == job.type }) else {
            end("this worker has no engine \"\(job.type)\"")
        }
        // Nothing hangs for ever: also where the thread that started this process had blocked the signal.
        var unblocked = sigset_t()
        sigemptyset(&unblocked)
        sigaddset(&unblocked, SIGALRM)
        pthread_sigmask(SIG_UNBLOCK, &unblocked, nil)
        alarm(job.kind.secondsAtMost)
        // And nothing begins before the tracer is there.
        var byte: UInt8 = 1
        guard write(0, &byte, 1) == 1, read(0, &byte, 1) == 1 else { end("nobody waits for this worker") }
        do {
            switch job.kind {
            case .workload: try WorkloadRun(job: job, factory: factory).run()
            case .secondLife: try SecondLifeRun(job: job, factory: factory).run()
            case .readers: try ReaderRun(job: job, factory: factory).run()
            case .faults: try FaultRun(job, factory).run()
            case .inspection: try InspectionRun(job: job, factory: factory).run()
            case .descriptors: try DescriptorRun(job: job, factory: factory).run()
            }
        } catch {
            Mark.failed("\(error)").write()
        }
        exit(0)
    }

    private static func end(_ message: String) -> Never {
        let line = Array("\(message)\n".utf8)
        _ = write(2, line, line.count)
        exit(64)
    }
}

/// What a worker tells by a line on its descriptor for marks.
enum Mark: Equatable {
    /// Opening the folder begins, or is done.
    case opening, opened
    /// Closing begins, or is done.
    case closing, closed
    /// A batch is handed to the engine; it returned; it threw.
    case begin(Int)
    case acknowledged(Int)
    case refused(Int, code: String)
    /// Reads begin, or are done.
    case reading, read
    /// The store was opened again and gave out the state after so many operations of the workload.
    case shown(Int)
    /// The engine did something wrong.
    case failed(String)
    /// A figure or sentence for the report.
    case note(String)
    /// Everything was done.
    case finished

    var text: String {
        switch self {
        case .opening: "opening"
        case .opened: "opened"
        case .closing: "closing"
        case .closed: "closed"
        case .begin(let batch): "begin \(batch)"
        case .acknowledged(let batch): "acknowledged \(batch)"
        case .refused(let batch, let code): "refused \(batch) \(code)"
        case .reading: "reading"
        case .read: "read"
        case .shown(let operations): "shown \(operations)"
        case .failed(let message): "failed \(message.split(separator: "\n").joined(separator: "\u{2}"))"
        case .note(let message): "note \(message)"
        case .finished: "finished"
        }
    }

    init?(_ text: some StringProtocol) {
        let words = text.split(separator: " ", maxSplits: 1)
        let rest = words.count > 1 ? String(words[1]) : ""
        switch words.first.map({ String($0) }) {
        case "opening": self = .opening
        case "opened": self = .opened
        case "closing": self = .closing
        case "closed": self = .closed
        case "reading": self = .reading
        case "read": self = .read
        case "finished": self = .finished
        case "shown":
            guard let operations = Int(rest) else { return nil }
            self = .shown(operations)
        case "failed": self = .failed(rest.split(separator: "\u{2}").joined(separator: "\n"))
        case "note": self = .note(rest)
        case "begin":
            guard let batch = Int(rest) else { return nil }
            self = .begin(batch)
        case "acknowledged":
            guard let batch = Int(rest) else { return nil }
            self = .acknowledged(batch)
        case "refused":
            let parts = rest.split(separator: " ")
            guard parts.count == 2, let batch = Int(parts[0]) else { return nil }
            self = .refused(batch, code: String(parts[1]))
        default: return nil
        }
    }

    /// One system call, so that a tracer sees it in its place among the others.
    func write() {
        let bytes = Array((text + "\n").utf8)
        #if canImport(Glibc)
        let count = Glibc.write(WorkerProcess.markDescriptor, bytes, bytes.count)
        #else
        let count = Darwin.write(WorkerProcess.markDescriptor, bytes, bytes.count)
        #endif
        if count != bytes.count { abort() }
    }
}
