#if os(Linux)
import CTrace
import Glibc

/// A kind of trouble that a disk or a kernel makes, and the calls that it strikes.
enum FaultKind: String, CaseIterable {
    /// No space: calls that need some fail from one on until the engine has given up.
    case full
    /// The same, but a half of the first write still fits.
    case cutShort
    /// No space for one call; for the next there is.
    case fullOnce
    /// A sync that would have made something durable fails once.
    case failedSync
    /// No descriptor is left for one call that opens.
    case descriptors
    /// One call that reads, or lists a folder, fails.
    case failedRead
    /// One call that removes a file or folder fails.
    case failedRemoval

    var code: Int32 {
        switch self {
        case .full, .cutShort, .fullOnce: ENOSPC
        case .failedSync, .failedRead, .failedRemoval: EIO
        case .descriptors: EMFILE
        }
    }

    /// Codes with which a batch may be refused that was struck.
    var allowedCodes: [String] {
        switch self {
        case .full, .cutShort, .fullOnce: ["full", "poisoned"]
        case .failedSync: ["poisoned"]
        case .descriptors: ["io", "full", "poisoned", "unsupported", "in_use"]
        case .failedRead: ["io", "damaged", "poisoned"]
        case .failedRemoval: ["io", "poisoned"]
        }
    }
}

/// Where a call was struck, or could be.
struct FaultPoint {
    /// Which of the calls of its kind, from 0.
    var number: Int
    /// What the worker was doing, by its last mark.
    var phase: Mark
    var what: String

    /// What rare calls differ in from frequent ones: the call, the folder, and how the name ends.
    var likeness: String {
        let parts = what.split(separator: "/", omittingEmptySubsequences: false)
        let name = parts.last ?? ""
        let end = name.lastIndex { $0 == "-" || $0 == "." }.map { name[$0...] } ?? ""
        return (what.split(separator: " ").prefix(1) + parts.dropLast() + [end.prefix(12)]).joined(separator: "/")
    }

    /// So many of the points, at random, of each likeness some.
    static func some(of points: [FaultPoint], atMost bound: Int, seed: UInt64) -> [FaultPoint] {
        guard points.count > bound else { return points }
        var random = RandomNumbers(seed: seed)
        var groups = Dictionary(grouping: points, by: \.likeness).sorted {
            ($0.value.count, $0.key) < ($1.value.count, $1.key)
        }.map(\.value)
        var result: [FaultPoint] = []
        while result.count < bound {
            for index in groups.indices where !groups[index].isEmpty && result.count < bound {
                result.append(groups[index].remove(at: random.below(groups[index].count)))
            }
        }
        return result.sorted { $0.number < $1.number }
    }
}

/// Counts the calls of one kind that a worker makes below its folder, and lets chosen ones fail.
final class FaultObserver: TraceObserver {
    let recorder: DiskRecorder
    private let kind: FaultKind
    /// The call to strike; `nil` strikes none.
    private let target: Int?
    /// All calls that could be struck.
    private(set) var points: [FaultPoint] = []
    /// The event of each sync in the trace.
    private(set) var syncEvents: [Int: Int] = [:]
    private(set) var struck: FaultPoint?
    private var open: [pid_t: Int] = [:]
    private var isStriking = false

    init(_ recorder: DiskRecorder, _ kind: FaultKind, target: Int?) {
        self.recorder = recorder
        self.kind = kind
        self.target = target
    }

    func willEnter(_ call: SystemCall) -> Intervention {
        _ = recorder.willEnter(call)
        guard isConcerned(call), let phase else { return .none }
        let point = FaultPoint(number: points.count, phase: phase, what: "\(call.kind)\(file(call))")
        if kind == .failedSync { open[call.thread] = points.count }
        points.append(point)
        if isStriking { return .fail(kind.code) }
        guard point.number == target else { return .none }
        struck = point
        // What such a write brought is seen, and on no disk: as the kernel has it when the medium fails behind the copying.
        if kind == .failedSync, recorder.isSync(call) == true { return .failBehind(kind.code) }
        isStriking = kind == .full || kind == .cutShort
        if kind == .cutShort, call.kind == .write || call.kind == .pwrite, call.integer(2) > 1 {
            return .shorten(call.integer(2) / 2)
        }
        return .fail(kind.code)
    }

    func didLeave(_ call: SystemCall, result: Int64) {
        let new = recorder.record(call, result: result)
        // A write that syncs is two events: the sync is the last one.
        if let point = open.removeValue(forKey: call.thread), !new.isEmpty { syncEvents[point] = new.endIndex - 1 }
        // The engine has given up, or made it: there is space again.
        if isStriking, case .mark(let mark)? = new.last {
            switch mark {
            case .refused, .acknowledged, .opened, .closed, .read: isStriking = false
            default: break
            }
        }
    }

    /// What the worker is at, where faults are wanted: not while it looks at what a fault has done.
    private var phase: Mark? {
        for event in recorder.trace.events.reversed() {
            guard case .mark(let mark) = event else { continue }
            switch mark {
            case .begin, .opening, .closing: return mark
            case .reading: return kind == .descriptors || kind == .failedRead ? mark : nil
            case .note: continue
            default: return nil
            }
        }
        return nil
    }

    /// The file that a call means, without what differs from one record to the next: calls that are alike are struck less
    /// often than those that are rare.
    private func file(_ call: SystemCall) -> String {
        let place: (folder: DiskObject, name: String)?
        switch call.kind {
        case .open, .creat, .rename, .mkdir, .link, .unlink, .rmdir, .setxattr: place = recorder.place(call, path: 0)
        case .openat, .openat2, .renameat, .renameat2, .mkdirat, .linkat, .unlinkat:
            place = recorder.place(call, path: 1, from: 0)
        default: return recorder.object(call, 0).flatMap { recorder.trace.paths[$0] }.map { " \($0)" } ?? ""
        }
        guard let place else { return "" }
        return " \(recorder.path(place.folder, place.name))"
    }

    private func isConcerned(_ call: SystemCall) -> Bool {
        // What follows a write that was cut short is any call that needs space.
        let kind = kind == .fullOnce || kind == .cutShort && isStriking ? .full : kind
        switch (kind, call.kind) {
        case (.full, .write), (.full, .pwrite), (.full, .writev), (.full, .pwritev), (.full, .pwritev2),
            (.full, .fsetxattr), (.full, .fallocate), (.cutShort, .write), (.cutShort, .pwrite):
            return recorder.object(call, 0) != nil && call.descriptor(0) != WorkerProcess.markDescriptor
        case (.full, .ftruncate):
            return recorder.object(call, 0) != nil && call.integer(1) > 0
        case (.full, .open), (.full, .openat), (.full, .creat): return isCreation(call)
        case (.full, .mkdir), (.full, .rename), (.full, .link), (.full, .setxattr):
            return recorder.isBelowFolder(call, path: 0)
        case (.full, .mkdirat), (.full, .renameat), (.full, .renameat2), (.full, .linkat):
            return recorder.isBelowFolder(call, path: 1, from: 0)
        // sync() has no result.
        case (.failedSync, let name) where name != .sync: return recorder.isSync(call) != nil
        case (.failedRead, .read), (.failedRead, .pread), (.failedRead, .readv), (.failedRead, .preadv),
            (.failedRead, .getdents):
            return recorder.object(call, 0) != nil
        case (.failedRemoval, .unlink), (.failedRemoval, .rmdir): return recorder.isBelowFolder(call, path: 0)
        case (.failedRemoval, .unlinkat): return recorder.isBelowFolder(call, path: 1, from: 0)
        case (.descriptors, .open), (.descriptors, .creat): return recorder.isBelowFolder(call, path: 0)
        case (.descriptors, .openat), (.descriptors, .openat2):
            return recorder.isBelowFolder(call, path: 1, from: 0)
        default: return false
        }
    }

    private func isCreation(_ call: SystemCall) -> Bool {
        let hasFolder = call.kind == .openat
        let flags = call.kind == .creat ? O_CREAT : call.descriptor(hasFolder ? 2 : 1)
        guard flags & O_CREAT != 0, let place = recorder.place(call, path: hasFolder ? 1 : 0, from: hasFolder ? 0 : nil)
        else { return false }
        return !recorder.hasEntry(place.folder, place.name)
    }
}
#endif
