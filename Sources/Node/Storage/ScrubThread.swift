internal import KVProtocols

/// Runs a node's `Scrubber` on a thread of its own, beside the flusher's.
///
/// Its priority is low by the rate at which it reads, not by the system's scheduler: a thread that seldom gets a processor
/// would hold the backend's locks for as long as it waits for one.
///
/// `@unchecked Sendable`: `scrubber`, `delay` and `hasEnded` are touched only by whoever takes the steps, `thread` is set
/// before `init` returns, everything else that changes is behind the monitor.
final class ScrubThread: StorageWorker, @unchecked Sendable {
    private struct State {
        var isStopping = false
        var isPaused = false
        var figures: ScrubFigures
    }

    private let monitor: Monitor<State>
    private let clock: @Sendable () -> UInt64
    private var scrubber: Scrubber
    /// How long until the next step, in milliseconds.
    private var delay: UInt64 = 0
    private var hasEnded = false
    /// None when the caller takes the steps.
    private var thread: WorkerThread?

    init(
        _ scrubber: Scrubber, driver: WorkerDriver,
        clock: @escaping @Sendable () -> UInt64 = ScrubThread.monotonicClock()
    ) throws(StorageError) {
        self.scrubber = scrubber
        self.clock = clock
        monitor = Monitor(State(figures: scrubber.figures))
        if driver == .threads { thread = try WorkerThread { [self] in run() } }
    }

    /// Milliseconds since the call, of a clock that never goes back.
    static func monotonicClock() -> @Sendable () -> UInt64 {
        let start = ContinuousClock.now
        return {
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            return UInt64(seconds) * 1000 + UInt64(attoseconds) / 1_000_000_000_000_000
        }
    }

    /// As of the last step.
    var figures: ScrubFigures { monitor.look { $0.figures } }

    /// While paused nothing is read, but for the page in hand.
    func setPaused(_ isPaused: Bool) {
        monitor.update { $0.isPaused = isPaused }
    }

    /// Ends the thread once the page in hand is read. Harmless when called again.
    func finish() {
        monitor.update { $0.isStopping = true }
        if let thread { thread.join() } else { run() }
    }

    func step() -> WorkerStep {
        let (isStopping, isPaused) = monitor.look { ($0.isStopping, $0.isPaused) }
        if isStopping || hasEnded { return .ended }
        if isPaused { return .idle }
        switch scrubber.step(now: clock()) {
        case .worked:
            monitor.look { [figures = scrubber.figures] in $0.figures = figures }
            return .worked
        case .wait(let milliseconds):
            delay = milliseconds
            return .retryLater
        case .ended:
            hasEnded = true
            return .ended
        }
    }

    func waitForWork() {
        monitor.wait { $0.isStopping || !$0.isPaused ? () : nil }
    }

    func waitForRetry() {
        _ = monitor.wait(milliseconds: Int(min(delay, 60_000))) { $0.isStopping ? () : nil }
    }
}
