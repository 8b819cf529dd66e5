#if os(Linux)
import KVProtocols

/// Opens what a power cut left behind, and looks whether the contract was kept.
struct CrashCheck {
    let factory: BackendFactory
    let options: [String: OptionValue]
    let model: CrashModel
    let workload: Workload
    private let keys: [Key]
    /// The state before each batch, and behind the last.
    private let states: [ReferenceState]

    init(_ factory: BackendFactory, _ options: [String: OptionValue], _ model: CrashModel, _ workload: Workload) {
        self.factory = factory
        self.options = options
        self.model = model
        self.workload = workload
        keys = workload.keys
        states = workload.batches.reduce(into: [ReferenceState()]) { states, batch in
            var next = states[states.count - 1]
            next.apply(batch)
            states.append(next)
        }
    }

    /// - Throws: `ConformanceFailure` with the moment, what was left, and what is wrong with it.
    func check(_ state: CrashState, in folder: String) throws {
        do {
            try DiskImage(model: model).write(state, to: folder)
            let context = BackendContext(path: folder, partitions: ConformanceSuite.partitions, options: options)
            var backend = try opened(context, "can't be opened")
            defer { do { try backend.close() } catch { /* What matters was said. */  } }
            let found = try content(backend)
            let isAtomic = backend.capabilities.atomicBatches
            try compare(found, promise(at: state.moment), isAtomic: isAtomic, isAstray: !state.astray.isEmpty)
            try goOn(&backend, context, from: found)
        } catch let failure as ConformanceFailure {
            throw ConformanceFailure("\(describe(state))\n  \(failure.message)")
        } catch {
            throw ConformanceFailure("\(describe(state))\n  unexpected error: \(error)")
        }
    }

    private func opened(_ context: BackendContext, _ what: String) throws -> any StorageBackend {
        do {
            ConformanceWorker.awaitStarts()
            return try factory.open(context)
        } catch {
            throw ConformanceFailure("the store \(what): \(error)")
        }
    }

    private func content(_ backend: any StorageBackend) throws -> ReferenceState {
        try ReferenceState(reading: backend, keys: keys, names: Workload.names)
    }

    /// What has to be there, and the batch of which more may be there.
    private func promise(at moment: Int) -> (before: ReferenceState, batch: [StorageOperation]?) {
        let begun = model.begun(at: moment)
        guard let shown = model.shown(at: moment) else {
            return (states[model.acknowledged(at: moment)], begun.map { workload.batches[$0] })
        }
        var before = workload.state(afterOperations: shown)
        if model.acknowledged(at: moment) > workload.batches.count { before.apply(workload.secondLife) }
        return (before, begun == nil ? nil : workload.secondLife)
    }

    /// What a second life of the store gave out is what the first one had stored.
    func checkShown(isAtomic: Bool) throws {
        guard let moment = model.moments.first(where: { model.shown(at: $0) != nil }),
            let shown = model.shown(at: moment)
        else { return }
        let found = workload.state(afterOperations: shown)
        try compare(found, promise(at: moment - 1), isAtomic: isAtomic, isAstray: false)
    }

    /// - Parameter isAstray: names in one folder are there although earlier ones in another are lost; then a batch that is
    ///   not atomic may be there in any part.
    private func compare(
        _ found: ReferenceState, _ promise: (before: ReferenceState, batch: [StorageOperation]?), isAtomic: Bool,
        isAstray: Bool
    ) throws {
        let before = promise.before
        if found == before { return }
        guard let batch = promise.batch else {
            throw ConformanceFailure(found.difference(from: before) ?? "the content differs")
        }
        let steps = Workload.states(of: batch, after: before)
        if found == steps[steps.count - 1] || !isAtomic && steps.contains(found) { return }
        if isAstray, !isAtomic, found.isMixture(of: steps) { return }
        let closest = steps.compactMap { found.difference(from: $0) }.last ?? ""
        throw ConformanceFailure(
            "\(found.difference(from: before) ?? ""); the batch that was interrupted is not there "
                + (isAtomic ? "as a whole either" : "up to one of its operations either") + ": \(closest)")
    }

    /// The store takes writes, and keeps them and what it had.
    private func goOn(
        _ backend: inout any StorageBackend, _ context: BackendContext, from found: ReferenceState
    ) throws {
        var expected = found
        let batch = CrashCheck.lastBatch(keys)
        try backend.apply(batch)
        expected.apply(batch)
        try backend.close()
        backend = try opened(context, "can't be opened a second time")
        let again = try content(backend)
        if let difference = again.difference(from: expected) {
            throw ConformanceFailure("after the next batch and reopening: \(difference)")
        }
    }

    private static func lastBatch(_ keys: [Key]) -> [StorageOperation] {
        let version = Version(ballot: Ballot(counter: 1 << 20, node: NodeID(9)), sequence: 1)
        return [
            .put(keys[0].partition, keys[0], Record(key: keys[0], version: version, value: [1, 2, 3])),
            .put(keys[1].partition, keys[1], Record(key: keys[1], version: version, value: nil)),
            .purge(keys[2].partition, keys[2]), .metadata(.node, Workload.names[2], [9]),
        ]
    }

    // MARK: For a person

    private func describe(_ state: CrashState) -> String {
        let batch = model.begun(at: state.moment).map { "amid batch \($0)" }
        let place = batch ?? "with \(model.acknowledged(at: state.moment)) batches acknowledged"
        var lines = ["after a power cut \(place), moment \(state.moment) of \(model.trace.events.count):"]
        let cut = state.names < model.names.count ? model.names[state.names] : Int.max
        for event in max(0, state.moment - 14)..<state.moment {
            var fate = ""
            if state.lost.contains(event) || state.astray.contains(event) { fate = "  << lost" }
            if let tear = state.torn[event] { fate = "  << only its \(tear)" }
            if event >= cut, !model.trace.events[event].folders.isEmpty { fate = "  << lost" }
            lines.append("    \(event) \(model.trace.describe(event))\(fate)")
        }
        let earlier = state.lost.union(state.astray).filter { $0 < state.moment - 14 }.sorted().prefix(5)
        if !earlier.isEmpty {
            lines.append("    also lost: \(earlier.map(model.trace.describe).joined(separator: "; "))")
        }
        for (event, tear) in state.torn.sorted(by: { $0.key < $1.key }) where event < state.moment - 14 {
            lines.append("    only the \(tear) is left of: \(model.trace.describe(event))")
        }
        return lines.joined(separator: "\n")
    }
}
#endif
