#if os(Linux)
import Glibc
import KVProtocols

/// Lets each sync of a batch begin only when a round of reads, begun and ended while the sync was due, has come to its end.
/// Where reads wait for the disk, neither goes on: no clock tells that, but the worker's own when it gives up.
final class HoldObserver: TraceObserver {
    private let recorder: DiskRecorder
    private(set) var holds = false
    private var isApplying = false
    private var isRoundNew = false
    /// A thread of the worker is over, for the engine did something wrong: the other one is held no more.
    private var hasFailed = false
    /// The calls that were held.
    private(set) var count = 0
    private(set) var last = ""

    init(_ recorder: DiskRecorder) { self.recorder = recorder }

    func willEnter(_ call: SystemCall) -> Intervention {
        _ = recorder.willEnter(call)
        guard isApplying, !hasFailed, recorder.isSync(call) != nil else { return .none }
        if !holds { isRoundNew = false }
        holds = true
        count += 1
        last = "\(call.kind) \(recorder.object(call, 0).flatMap { recorder.trace.paths[$0] } ?? "")"
        return .hold
    }

    func didLeave(_ call: SystemCall, result: Int64) {
        guard case .mark(let mark)? = recorder.record(call, result: result).last else { return }
        switch mark {
        case .begin: isApplying = true
        case .acknowledged: isApplying = false
        case .reading: isRoundNew = true
        case .read where isRoundNew: holds = false
        case .failed:
            hasFailed = true
            holds = false
        default: break
        }
    }
}

/// Whether reads go on while `apply` syncs.
struct HeldSyncs {
    private let store: ConformanceStore
    private let suite: ConformanceSuite

    init(_ store: ConformanceStore) {
        self.store = store
        suite = store.suite
    }

    func run() throws {
        let scratch = try ScratchFolder(in: suite.temporaryFolder)
        let folder = try scratch.empty("store")
        let observer = HoldObserver(try suite.recorder(of: folder))
        let (marks, end, lastWords) = try TracedRun.watch(
            suite.worker, suite.job(.readers, in: folder), scratch: "\(scratch.path)/worker", observer)
        guard !observer.holds || !end.hasTakenTooLong else {
            throw ConformanceFailure(
                "a read waits for the disk: while \(observer.last) of a batch was held up, no round of reads came to its end "
                    + "within \(WorkerJob.Kind.readers.secondsAtMost) s (a machine that stood still meanwhile looks the "
                    + "same: run the case again)")
        }
        _ = try WorkerOutcome.check(marks, end, lastWords)
        guard observer.count > 0 else { throw ConformanceSkip("no sync of a batch was seen") }
    }
}
#endif
