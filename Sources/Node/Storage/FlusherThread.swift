internal import KVProtocols

/// Hands generations to the backend, one at a time, on a thread of its own.
///
/// `@unchecked Sendable`: everything that changes is behind the monitor; `thread` is set before `init` returns.
final class FlusherThread: @unchecked Sendable {
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
    }

    private enum Work {
        case run(FlushJob)
        case free([OverlayGeneration])
        case stop
    }

    private let backend: any StorageBackend
    private let monitor = Monitor(State())
    private let retryMilliseconds: Int
    private let notify: @Sendable (StorageEvent) -> Void
    private var thread: WorkerThread?

    init(
        _ backend: any StorageBackend, retryMilliseconds: Int, notify: @escaping @Sendable (StorageEvent) -> Void
    ) throws(StorageError) {
        self.backend = backend
        self.retryMilliseconds = retryMilliseconds
        self.notify = notify
        thread = try WorkerThread { [self] in run() }
    }

    /// Completed flushes.
    var flushes: UInt64 { monitor.look { $0.flushes } }

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
        thread?.join()
        let (flushed, error) = monitor.look { ($0.flushed, $0.error) }
        if let error, !abandoning { throw error }
        return flushed
    }

    private func run() {
        while true {
            let work = monitor.wait { state -> Work? in
                if let job = state.job.take() { return .run(job) }
                if state.isStopping { return .stop }
                guard !state.discarded.isEmpty else { return nil }
                defer { state.discarded = [] }
                return .free(state.discarded)
            }
            switch work {
            case .stop: return
            case .free(let generations): _ = consume generations
            case .run(let job): if !flush(job) { return }
            }
        }
    }

    /// Tries until it succeeds; `false` when it can't any more.
    private func flush(_ job: FlushJob) -> Bool {
        while true {
            do {
                try job.run(backend)
                monitor.update { state in
                    state.error = nil
                    state.flushed = job.checkpoint.position
                    state.flushes += 1
                }
                notify(.flushed(job.checkpoint.position))
                return true
            } catch  where error.code == .full || error.code == .readOnly {
                let isStopping = monitor.update { state -> Bool in
                    state.error = error
                    return state.isStopping
                }
                notify(.flushFailed(error))
                if isStopping { return false }
                _ = monitor.wait(milliseconds: retryMilliseconds) { $0.isStopping ? true : nil }
                if monitor.look({ $0.isAbandoned }) { return false }
            } catch {
                monitor.update { $0.error = error }
                notify(.failed(error))
                return false
            }
        }
    }
}
