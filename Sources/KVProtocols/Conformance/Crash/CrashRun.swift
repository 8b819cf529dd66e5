#if os(Linux)
import KVProtocols

/// Traces a worker that applies a workload, and opens what power cuts may leave.
struct CrashRun {
    private let store: ConformanceStore
    private let suite: ConformanceSuite

    init(_ store: ConformanceStore) {
        self.store = store
        suite = store.suite
    }

    func run() throws {
        let workload = Workload(seed: suite.seed, isLong: suite.isLong)
        let trace = try recorded()
        let model = CrashModel(trace)
        guard model.acknowledged(at: trace.events.count) == workload.batches.count else {
            throw ConformanceFailure("the worker did not see all batches acknowledged")
        }
        var plan = CrashPlan(model, seed: suite.seed, bound: suite.isLong ? 20_000 : 300, isLong: suite.isLong)
        let states = plan.states()
        let images = try ScratchFolder.inMemory(for: suite)
        let check = CrashCheck(suite.factory, suite.options, model, workload)
        for (number, state) in states.enumerated() {
            try check.check(state, in: images.empty("image"))
            store.figures.crashStates += 1
            if (number + 1) % max(100, states.count / 10) == 0 {
                suite.progress("\(number + 1) of \(states.count) power cuts")
            }
        }
    }

    private func recorded() throws -> DiskTrace {
        let scratch = try ScratchFolder(in: suite.temporaryFolder)
        let folder = try scratch.empty("store")
        let recorder = try suite.recorder(of: folder)
        let job = suite.job(.workload, in: folder, isLong: suite.isLong)
        try TracedRun.run(suite.worker, job, scratch: "\(scratch.path)/worker", recorder)
        if let gap = recorder.trace.gaps.first { throw ConformanceSkip("the trace is incomplete: \(gap)") }
        return recorder.trace
    }
}

extension ConformanceSuite {
    /// Records what happens in the folder, which exists.
    func recorder(of folder: String) throws -> DiskRecorder {
        try DiskRecorder(folder: folder, rebuildable: rebuildableFiles)
    }
}

/// One worker from start to end under the eyes of an observer.
enum TracedRun {
    /// - Returns: the worker's marks.
    /// - Throws: `ConformanceFailure` when the worker fails, or ends before it was finished.
    @discardableResult
    static func run(
        _ worker: ConformanceWorker?, _ job: WorkerJob, scratch: String, _ observer: any TraceObserver
    ) throws -> [Mark] {
        let (marks, end, lastWords) = try watch(worker, job, scratch: scratch, observer)
        return try WorkerOutcome.check(marks, end, lastWords)
    }

    /// Does the same, whatever becomes of the worker.
    static func watch(
        _ worker: ConformanceWorker?, _ job: WorkerJob, scratch: String, _ observer: any TraceObserver
    ) throws -> (marks: [Mark], end: WorkerEnd, lastWords: String) {
        guard let worker else { throw ConformanceSkip("no worker was given") }
        let observer = Unchecked<any TraceObserver>(observer)
        let result = Unchecked<(marks: [Mark], end: WorkerEnd, lastWords: String)?>(nil)
        // All calls of ptrace have to come from one thread, and its children are told apart from the caller's.
        try Threads.run([
            {
                let process = try WorkerProcess(worker, job, scratch: scratch)
                let end = try Tracer(observer.value).run(process)
                result.value = (process.saidMarks.compactMap { Mark($0) }, end, process.lastWords)
            }
        ])
        guard let result = result.value else { throw ConformanceFailure("the worker left no result") }
        return result
    }

    /// `@unchecked Sendable`: one thread uses it while the other waits for that one's end.
    private final class Unchecked<Value>: @unchecked Sendable {
        var value: Value
        init(_ value: Value) { self.value = value }
    }
}
#endif

/// What a worker's end means.
enum WorkerOutcome {
    static func check(_ marks: [Mark], _ end: WorkerEnd, _ lastWords: String) throws -> [Mark] {
        for mark in marks {
            if case .failed(let message) = mark { throw ConformanceFailure(message) }
        }
        guard end.isSuccess, marks.last == .finished else {
            let last = marks.last { if case .note = $0 { false } else { true } }
            throw ConformanceFailure(
                "the process of the engine didn't come to its end: \(end)\(lastWords); the last thing it said was "
                    + "\"\(last?.text ?? "nothing")\"")
        }
        return marks
    }
}
