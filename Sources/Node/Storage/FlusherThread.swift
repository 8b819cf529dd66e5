internal import KVProtocols

/// Hands generations to the backend, one at a time, on a thread of its own.
///
/// `@unchecked Sendable`: `current` and `hasEnded` are touched only by whoever takes the steps, `thread` is set before
/// `init` returns, everything else that changes is behind the monitor.
final class FlusherThread: StorageWorker, @unchecked Sendable {
    private struct State {
        var job: FlushJob?
        /// Freed here, as letting go of a hundred thousand records would hold up the engine.
        var discarded: [OverlayGeneration] = []
        var isStopping = false
        /// Stops without the job in hand.
        var isAbandoned = false
        var flushed: UInt64 = 0
        var flushes: UInt64 = 0
        var error: StorageError?
        /// What the backend said of itself when it was asked last.
        var figures: Result<BackendStatistics, StorageError>?
        var wantsFigures = false
    }

    private enum Work {
        case run(FlushJob)
        case free([OverlayGeneration])
        case measure
        case stop
    }

    private let backend: any StorageBackend
    private let monitor = Monitor(State())
    private let retryMilliseconds: Int
    private let notify: @Sendable (StorageEvent) -> Void
    /// The job in hand: tried until it succeeds.
    private var current: FlushJob?
    private var hasEnded = false
    /// None when the caller takes the steps.
    private var thread: WorkerThread?

    init(
        _ backend: any StorageBackend, driver: WorkerDriver, retryMilliseconds: Int,
        notify: @escaping @Sendable (StorageEvent) -> Void
    ) throws(StorageError) {
        self.backend = backend
        self.retryMilliseconds = retryMilliseconds
        self.notify = notify
        if driver == .threads { thread = try WorkerThread { [self] in run() } }
    }

    /// Completed flushes.
    var flushes: UInt64 { monitor.look { $0.flushes } }

    /// The backend's figures when it was asked last: some count every key, which the engine can't wait for. The first call
    /// does ask, later ones have it asked on the flusher's thread if they are `refreshing`.
    func statistics(refreshing: Bool) throws(StorageError) -> BackendStatistics {
        let known = monitor.update { state in
            state.wantsFigures = state.wantsFigures || refreshing && state.figures != nil
            return state.figures
        }
        return try (known ?? measure()).get()
    }

    /// Given, but not begun.
    var waitingJob: FlushJob? { monitor.look { $0.job } }

    func start(_ job: FlushJob) {
        monitor.update { $0.job = job }
    }

    func discard(_ generation: OverlayGeneration) {
        monitor.update { $0.discarded.append(generation) }
    }

    /// Ends the thread once the job in hand, if any, was tried to its end (or, when `abandoning`, as soon as it can).
    /// Returns the position of the last flush that succeeded.
    /// - Throws: why the job in hand did not succeed.
    func finish(abandoning: Bool) throws(StorageError) -> UInt64 {
        monitor.update { state in
            state.isStopping = true
            if abandoning {
                state.isAbandoned = true
                state.job = nil
            }
        }
        if let thread { thread.join() } else { run() }
        let (flushed, error) = monitor.look { ($0.flushed, $0.error) }
        if let error, !abandoning { throw error }
        return flushed
    }

    func step() -> WorkerStep {
        guard !hasEnded else { return .ended }
        if let current { return monitor.look { $0.isAbandoned } ? end() : flush(current) }
        let work = monitor.look { state -> Work? in
            if let job = state.job.take() { return .run(job) }
            if state.isStopping { return .stop }
            if !state.discarded.isEmpty {
                defer { state.discarded = [] }
                return .free(state.discarded)
            }
            guard state.wantsFigures else { return nil }
            state.wantsFigures = false
            return .measure
        }
        switch work {
        case nil: return .idle
        case .stop: return end()
        case .free(let generations):
            _ = consume generations
            return .worked
        case .measure:
            measure()
            return .worked
        case .run(let job):
            current = job
            return flush(job)
        }
    }

    func waitForWork() {
        monitor.wait { $0.job != nil || $0.isStopping || !$0.discarded.isEmpty || $0.wantsFigures ? () : nil }
    }

    func waitForRetry() {
        _ = monitor.wait(milliseconds: retryMilliseconds) { $0.isStopping ? () : nil }
    }

    @discardableResult
    private func measure() -> Result<BackendStatistics, StorageError> {
        let figures = Result { () throws(StorageError) in try backend.statistics() }
        monitor.update { $0.figures = figures }
        return figures
    }

    private func flush(_ job: FlushJob) -> WorkerStep {
        do {
            try job.run(backend)
            current = nil
            monitor.update { state in
                state.error = nil
                state.flushed = job.checkpoint.position
                state.flushes += 1
            }
            notify(.flushed(job.checkpoint.position))
            return .worked
        } catch  where error.code == .full || error.code == .readOnly {
            let isStopping = monitor.update { state -> Bool in
                state.error = error
                return state.isStopping
            }
            notify(.flushFailed(error))
            return isStopping ? end() : .retryLater
        } catch {
            monitor.update { $0.error = error }
            notify(.failed(error))
            return end()
        }
    }

    private func end() -> WorkerStep {
        hasEnded = true
        current = nil
        return .ended
    }
}
