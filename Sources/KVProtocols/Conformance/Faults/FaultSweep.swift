#if os(Linux)
import CTrace
import KVProtocols

/// Runs a worker once without faults, to see which calls there are, and then again and again with one fault each.
struct FaultSweep {
    private let store: ConformanceStore
    private let suite: ConformanceSuite
    private let kind: FaultKind
    private let scratch: ScratchFolder

    init(_ store: ConformanceStore, _ kind: FaultKind) throws {
        self.store = store
        suite = store.suite
        self.kind = kind
        scratch = try ScratchFolder.inMemory(for: suite)
    }

    func run() throws {
        guard kv_trace_can_inject() != 0 else {
            throw ConformanceSkip("results of system calls can be changed on x86-64 and arm64 only")
        }
        let (observer, _) = try play(target: nil)
        let targets = chosen(observer)
        guard !targets.isEmpty else { throw ConformanceSkip("the engine makes no call that this fault could strike") }
        var struck = 0
        for (number, target) in targets.enumerated() {
            if try judge(target) { struck += 1 }
            if number % 10 == 9 { suite.progress("\(number + 1) of \(targets.count) faults (\(kind.rawValue))") }
        }
        guard struck > 0 else { throw ConformanceSkip("the engine never makes the same calls again") }
    }

    /// Calls to strike: all when there is time; else some of each likeness.
    private func chosen(_ observer: FaultObserver) -> [FaultPoint] {
        var points = observer.points
        if kind == .failedSync {
            // One that had nothing to do may fail unnoticed.
            let model = CrashModel(observer.recorder.trace)
            points = points.filter { observer.syncEvents[$0.number].map { model.isEffective(barrier: $0) } ?? false }
        }
        let bound = suite.isLong ? 1_000 : kind == .descriptors ? 48 : 16
        return FaultPoint.some(of: points, atMost: bound, seed: suite.seed)
    }

    private func play(target: Int?) throws -> (FaultObserver, [Mark]) {
        let folder = try scratch.empty("store")
        let observer = FaultObserver(try suite.recorder(of: folder), kind, target: target)
        do {
            let marks = try TracedRun.run(
                suite.worker, suite.job(.faults, in: folder), scratch: "\(scratch.path)/worker", observer)
            return (observer, marks)
        } catch let failure as ConformanceFailure {
            throw ConformanceFailure(describe(observer.struck) + failure.message)
        }
    }

    private func describe(_ point: FaultPoint?) -> String {
        guard let point else { return "without any fault: " }
        return "when \(kind.rawValue) strikes call \(point.number) (\(point.what)) after \"\(point.phase.text)\": "
    }

    /// - Returns: whether the fault struck.
    private func judge(_ target: FaultPoint) throws -> Bool {
        let (observer, marks) = try play(target: target.number)
        // Threads of the engine may have come in another order.
        guard let struck = observer.struck else { return false }
        store.figures.faults += 1
        guard case .begin(let batch) = struck.phase else { return true }
        let answer = marks.drop { $0 != .begin(batch) }.first {
            switch $0 {
            case .acknowledged(batch), .refused(batch, _): true
            default: false
            }
        }
        let note = marks.compactMap { if case .note(let text) = $0 { text } else { nil } }.first ?? ""
        switch answer {
        case .refused(_, let code):
            guard kind.allowedCodes.contains(code) else {
                throw ConformanceFailure(
                    describe(struck)
                        + "expected the error \(kind.allowedCodes.joined(separator: " or ")), found \(note)")
            }
        case .acknowledged where kind == .failedSync:
            throw ConformanceFailure(describe(struck) + "the batch was acknowledged although a sync of it failed")
        default: break
        }
        return true
    }
}
#endif
