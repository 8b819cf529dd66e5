#if os(Linux)
import KVProtocols

/// Kills a worker before a sync reaches the disk, lets another one open what the first one wrote, and then cuts the power.
///
/// The second worker sees everything that the first one did, as the kernel still has it; the disk may have none of that. What
/// the second one shows, and what it acknowledges, has to be there all the same.
struct SecondLives {
    private let store: ConformanceStore
    private let suite: ConformanceSuite
    private let workload: Workload
    private let scratch: ScratchFolder
    private let images: ScratchFolder

    init(_ store: ConformanceStore) throws {
        self.store = store
        suite = store.suite
        workload = Workload(seed: suite.seed, isLong: false)
        scratch = try ScratchFolder(in: suite.temporaryFolder)
        images = try ScratchFolder.inMemory(for: suite)
    }

    func run() throws {
        let observer = try firstLife(killedAt: nil)
        let trace = observer.recorder.trace
        if let gap = trace.gaps.first { throw ConformanceSkip("the trace is incomplete: \(gap)") }
        let model = CrashModel(trace)
        var phase = Mark.opening
        var points: [FaultPoint] = []
        let numbers = Dictionary(uniqueKeysWithValues: observer.events.map { ($0.value, $0.key) })
        for (index, event) in trace.events.enumerated() {
            if case .mark(let mark) = event { phase = mark }
            guard let number = numbers[index], model.isEffective(barrier: index) else { continue }
            points.append(FaultPoint(number: number, phase: phase, what: trace.describe(index)))
        }
        let chosen = FaultPoint.some(of: points, atMost: suite.isLong ? 200 : 20, seed: suite.seed)
        var judged = 0
        for (number, point) in chosen.enumerated() {
            do {
                if try check(point) { judged += 1 }
            } catch let failure as ConformanceFailure {
                throw ConformanceFailure(
                    "the process was killed at \"\(point.what)\" after \"\(point.phase.text)\", and the store opened "
                        + "again: \(failure.message)")
            }
            if number % 10 == 9 { suite.progress("\(number + 1) of \(chosen.count) second lives") }
        }
        guard judged > 0 else { throw ConformanceSkip("no sync of the engine could be interrupted") }
    }

    private var folder: String { "\(scratch.path)/store" }

    private func firstLife(killedAt target: Int?) throws -> KillObserver {
        let folder = try scratch.empty("store")
        let observer = KillObserver(try suite.recorder(of: folder), target: target)
        let life = try TracedRun.watch(
            suite.worker, suite.job(.workload, in: folder), scratch: "\(scratch.path)/worker", observer)
        if !observer.hasKilled { _ = try WorkerOutcome.check(life.marks, life.end, life.lastWords) }
        return observer
    }

    /// - Returns: whether there was anything to judge.
    private func check(_ point: FaultPoint) throws -> Bool {
        let observer = try firstLife(killedAt: point.number)
        // Threads of the engine may have come in another order.
        guard observer.hasKilled, observer.isComplete else { return false }
        let recorder = observer.recorder
        let kill = recorder.trace.events.count
        recorder.ignoresSyncs = false
        try TracedRun.run(suite.worker, suite.job(.secondLife, in: folder), scratch: "\(scratch.path)/worker", recorder)
        if let gap = recorder.trace.gaps.first { throw ConformanceSkip("the trace is incomplete: \(gap)") }
        let model = CrashModel(recorder.trace)
        let check = CrashCheck(suite.factory, suite.options, model, workload)
        try check.checkShown(isAtomic: store.backend.capabilities.atomicBatches)
        var plan = CrashPlan(
            model, seed: suite.seed, bound: suite.isLong ? 400 : 30, isLong: suite.isLong,
            secondLife: kill...recorder.trace.events.count)
        for state in plan.states() {
            try check.check(state, in: images.empty("image"))
            store.figures.crashStates += 1
        }
        return true
    }
}
#endif
