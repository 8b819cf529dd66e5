#if os(Linux)
import Glibc

/// Ends a worker at one of its syncs: what that should have made durable is seen by whoever opens the files next, and is on
/// no disk.
final class KillObserver: TraceObserver {
    let recorder: DiskRecorder
    /// The sync at which to kill, by its number from 0; `nil` for none.
    private let target: Int?
    private var count = 0
    private var open: [pid_t: Int] = [:]
    /// Threads amid a call that may change files.
    private var changing: Set<pid_t> = []
    /// The event of each sync in the trace.
    private(set) var events: [Int: Int] = [:]
    private(set) var hasKilled = false
    /// Whether the trace tells everything that the killed process did.
    private(set) var isComplete = true

    init(_ recorder: DiskRecorder, target: Int?) {
        self.recorder = recorder
        self.target = target
    }

    func willEnter(_ call: SystemCall) -> Intervention {
        _ = recorder.willEnter(call)
        guard !hasKilled else { return .none }
        guard let isWrite = recorder.isSync(call) else {
            if KillObserver.changesFiles(call) { changing.insert(call.thread) }
            return .none
        }
        let number = count
        count += 1
        open[call.thread] = number
        guard number == target else { return .none }
        hasKilled = true
        isComplete = changing.isEmpty
        recorder.ignoresSyncs = true
        return isWrite ? .killBehind : .kill
    }

    func didLeave(_ call: SystemCall, result: Int64) {
        changing.remove(call.thread)
        let new = recorder.record(call, result: result)
        // A write that syncs is two events: the sync is the last one.
        if let number = open.removeValue(forKey: call.thread), !new.isEmpty { events[number] = new.endIndex - 1 }
    }

    private static func changesFiles(_ call: SystemCall) -> Bool {
        switch call.kind {
        case .read, .pread, .readv, .preadv, .getdents, .mmap, .ioctl: false
        default: true
        }
    }
}
#endif
