#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif
internal import KVProtocols

/// Runs the journal on a thread of its own: while it syncs, frames gather; whatever waits then becomes one write and one
/// sync. Where processors are scarce it lets a little more gather (`JournalPacing`).
///
/// The queue has no limit of its own: what waits in it is also in the overlay, which is bounded.
///
/// `@unchecked Sendable`: after `init`, `journal`, `unwritten` and `hasEnded` are touched only by whoever takes the steps,
/// and by `finish` once the thread has ended; everything else is behind the monitor.
final class JournalThread: StorageWorker, @unchecked Sendable {
    /// Frames kept for reuse, and the largest worth keeping.
    private static let freeLimit = 4
    private static let freeCapacity = 2 << 20

    struct Figures {
        var durable: UInt64
        var syncs: UInt64 = 0
        var segments: Int
        var bytes: UInt64
    }

    private struct State {
        var queue: [JournalFrame] = []
        var free: [JournalFrame] = []
        var released: UInt64?
        var isStopping = false
        var figures: Figures
        /// Frames are being written.
        var isBusy = false
        var pacing = JournalPacing()
        /// Why the last write didn't succeed; `.full` passes, others stay.
        var error: StorageError?

        var isPoisoned: Bool { error != nil && error?.code != .full }
    }

    private enum Work {
        case write([JournalFrame])
        case release(UInt64)
        case stop
    }

    private let journal: Journal
    private let monitor: Monitor<State>
    private let notify: @Sendable (StorageEvent) -> Void
    private let retryMilliseconds: Int
    /// What the disk had no room for.
    private var unwritten: ArraySlice<JournalFrame> = []
    private var hasEnded = false
    /// None when the caller takes the steps.
    private var thread: WorkerThread?

    init(
        _ journal: Journal, driver: WorkerDriver, retryMilliseconds: Int,
        notify: @escaping @Sendable (StorageEvent) -> Void
    ) throws(StorageError) {
        self.journal = journal
        self.notify = notify
        self.retryMilliseconds = retryMilliseconds
        let figures = Figures(durable: journal.durable, segments: journal.segmentCount, bytes: journal.bytes)
        monitor = Monitor(State(figures: figures))
        if driver == .threads { thread = try WorkerThread { [self] in run() } }
    }

    var figures: Figures { monitor.look { $0.figures } }

    /// Queues the frames and returns an empty one to go on with, if there is any. O(frames), no waiting for the disk.
    func submit(_ frames: [JournalFrame]) -> JournalFrame? {
        monitor.update { state in
            if state.isPoisoned { return frames.last }
            state.queue.append(contentsOf: frames)
            return state.free.popLast()
        }
    }

    /// To be called now and then by the thread that hands frames over: how busy it is says how long they are to gather. O(1).
    func pace() {
        guard thread != nil, case let now = ThreadOccupancy.now(), monitor.look({ $0.pacing.isDue(at: now) }),
            let occupied = ThreadOccupancy.nanoseconds()
        else { return }
        monitor.look { $0.pacing.looked(occupied: occupied, at: now) }
    }

    /// Lets the thread recycle segments when it is free.
    func release(upTo position: UInt64) {
        monitor.update { $0.released = position }
    }

    /// Waits until everything submitted is durable.
    /// - Throws: `.full` or `.poisoned`: then it is not.
    func drain() throws(StorageError) {
        if thread == nil { runWhileBusy() }
        let error = monitor.wait { state -> StorageError?? in
            if let error = state.error { return .some(error) }
            return state.queue.isEmpty && !state.isBusy ? .some(nil) : nil
        }
        if let error { throw error }
    }

    /// Ends the thread, without waiting for what is queued: call `drain` first to keep it. With `applied`, the position
    /// up to which the backend has everything, the journal is left empty.
    func finish(applied: UInt64?) throws(StorageError) {
        monitor.update { $0.isStopping = true }
        if let thread { thread.join() } else { run() }
        defer { journal.close() }
        if let applied, monitor.look({ $0.error == nil }) {
            do {
                try journal.empty(applied: applied)
            } catch  where error.code == .full {
                // No room for an empty segment: the next open reads the full one, nothing else.
            }
        }
    }

    // MARK: On the thread

    func step() -> WorkerStep {
        guard !hasEnded else { return .ended }
        if !unwritten.isEmpty { return writeAgain() }
        letGather()
        let work = monitor.look { state -> Work? in
            if state.isStopping { return .stop }
            if !state.queue.isEmpty {
                defer { state.queue.removeAll(keepingCapacity: true) }
                state.isBusy = true
                return .write(state.queue)
            }
            return state.released.take().map { .release($0) }
        }
        switch work {
        case nil: return .idle
        case .stop: return end()
        case .release(let position): return release(position)
        case .write(let frames):
            unwritten = frames[...]
            return write()
        }
    }

    func waitForWork() {
        monitor.wait { $0.isStopping || !$0.queue.isEmpty || $0.released != nil ? () : nil }
    }

    func waitForRetry() {
        _ = monitor.wait(milliseconds: retryMilliseconds) { $0.isStopping || $0.released != nil ? () : nil }
    }

    /// The disk was full. A segment whose entries the backend has meanwhile is room that the disk need not give.
    private func writeAgain() -> WorkerStep {
        let (isStopping, released) = monitor.look { ($0.isStopping, $0.released.take()) }
        if isStopping { return end() }
        if let released, case .ended = release(released) { return .ended }
        return write()
    }

    /// Writes what is unwritten. While the disk is full it stays so.
    private func write() -> WorkerStep {
        do {
            try journal.write(&unwritten) { done in settle(done) }
            unwritten = []
            // Only now: whoever drains finds the events already on their way.
            monitor.update { $0.isBusy = false }
            return .worked
        } catch  where error.code == .full {
            // Bytes that were never synced may be written again, a sync that failed may not be tried again.
            let isNew = monitor.update { state -> Bool in
                defer { state.error = error }
                return state.error == nil
            }
            if isNew { notify(.journalFull(error)) }
            return .retryLater
        } catch {
            return poison(error)
        }
    }

    /// Waits for more entries to share the next sync, when there is one to come.
    private func letGather() {
        let wait = monitor.look { $0.queue.isEmpty || $0.isStopping ? 0 : $0.pacing.wait }
        if wait > 0 { usleep(UInt32(wait)) }
    }

    private func settle(_ done: ArraySlice<JournalFrame>) {
        let durable = journal.durable
        let wasFull = monitor.update { state -> Bool in
            for frame in done
            where state.free.count < JournalThread.freeLimit && frame.capacity <= JournalThread.freeCapacity {
                frame.reset(firstPosition: 0)
                state.free.append(frame)
            }
            state.pacing.synced(entries: durable - state.figures.durable)
            state.figures = Figures(
                durable: durable, syncs: journal.syncs, segments: journal.segmentCount, bytes: journal.bytes)
            return state.error.take() != nil
        }
        if wasFull { notify(.spaceReturned) }
        notify(.durable(durable))
    }

    private func release(_ position: UInt64) -> WorkerStep {
        do {
            try journal.release(upTo: position)
            monitor.update {
                $0.figures.segments = journal.segmentCount
                $0.figures.bytes = journal.bytes
            }
            return .worked
        } catch {
            return poison(error)
        }
    }

    private func poison(_ error: StorageError) -> WorkerStep {
        let final =
            error.code == .poisoned
            ? error
            : StorageError(
                .poisoned,
                "the journal failed, nothing is acknowledged any more; check the disk, then restart the "
                    + "node: \(error.message)", cause: error.cause, path: error.path)
        monitor.update { state in
            state.error = final
            state.queue.removeAll()
            state.isBusy = false
        }
        notify(.failed(final))
        return end()
    }

    private func end() -> WorkerStep {
        hasEnded = true
        unwritten = []
        return .ended
    }
}
