import KVProtocols

extension ConformanceSuite {
    static let faultCases: [ConformanceCase] = [
        sweep("a full disk is the error full: nothing is lost, and it goes on when there is space", .full),
        sweep("a disk that takes a part of a write is full, or the store poisoned: nothing is lost", .cutShort),
        sweep("no space for a single call is noticed like a full disk", .fullOnce),
        sweep("after a failed sync the store is poisoned, nothing is acknowledged, and nothing is lost", .failedSync),
        sweep("too few descriptors for a call are an error, and the next call works", .descriptors),
        sweep("a read that fails is an error, never a wrong answer, and the next read works", .failedRead),
        sweep("a file that can't be removed is an error, and what was forgotten doesn't come back", .failedRemoval),
        ConformanceCase("a store with few descriptors to spare works or says so", needs: .worker) { store in
            try store.runWorker(.descriptors)
        },
    ]

    #if os(Linux)
    private static func sweep(_ name: String, _ kind: FaultKind) -> ConformanceCase {
        ConformanceCase(name, needs: .worker) { store in try FaultSweep(store, kind).run() }
    }
    #else
    private enum FaultKind { case full, cutShort, fullOnce, failedSync, descriptors, failedRead, failedRemoval }
    private static func sweep(_ name: String, _ kind: FaultKind) -> ConformanceCase {
        ConformanceCase(name, needs: .worker) { _ in
            throw ConformanceSkip("system calls can be made to fail on Linux only")
        }
    }
    #endif
}

extension ConformanceStore {
    /// Runs a worker that isn't traced, in a folder of its own.
    /// - Returns: its marks.
    @discardableResult
    func runWorker(_ kind: WorkerJob.Kind, in folder: String? = nil) throws -> [Mark] {
        guard let worker = suite.worker else { throw ConformanceSkip("no worker was given") }
        let scratch = try ScratchFolder(in: suite.temporaryFolder)
        let job = suite.job(kind, in: try folder ?? scratch.empty("store"))
        let process = try WorkerProcess(worker, job, scratch: "\(scratch.path)/worker")
        process.letGo()
        let end = process.wait()
        return try WorkerOutcome.check(process.saidMarks.compactMap { Mark($0) }, end, process.lastWords)
    }
}
