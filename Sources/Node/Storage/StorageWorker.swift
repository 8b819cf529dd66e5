internal import KVProtocols

/// A loop in steps: the journal's and the flusher's. Usually a thread of its own takes them; a simulation takes them
/// itself, one by one, in the order that it draws.
protocol StorageWorker: AnyObject, Sendable {
    /// Does the next piece of work, if there is any, and never waits for some.
    func step() -> WorkerStep
    /// Returns when there may be something to do.
    func waitForWork()
    /// Returns when it is time to try again what did not succeed, or to end.
    func waitForRetry()
}

enum WorkerStep {
    case worked
    /// Nothing to do.
    case idle
    /// What was tried must be tried again, a while later.
    case retryLater
    /// There will be no further step.
    case ended
}

extension StorageWorker {
    /// What the worker's thread runs.
    func run() {
        while true {
            switch step() {
            case .worked: break
            case .idle: waitForWork()
            case .retryLater: waitForRetry()
            case .ended: return
            }
        }
    }

    /// Takes steps until there is nothing to do, nothing that can succeed now, or nothing left to come.
    func runWhileBusy() {
        while case .worked = step() {}
    }
}

/// Who takes the steps of a storage's workers.
enum WorkerDriver: Sendable {
    /// A thread of the operating system for each.
    case threads
    /// Whoever made the storage, on the thread that uses it: nothing happens between two of its calls.
    case caller
}
