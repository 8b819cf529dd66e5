import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// In the worker: opens, writes and reads with 0, 1, 2, … file descriptors to spare. Errors are honest, wrong answers and a
/// store that doesn't recover are not.
struct DescriptorRun {
    let job: WorkerJob
    let factory: BackendFactory

    func run() throws {
        let workload = Workload(seed: job.seed, isLong: false)
        var original = rlimit()
        guard getrlimit(DescriptorRun.resource, &original) == 0 else { throw ConformanceFailure("no limits") }
        var state = ReferenceState()
        var refusals = 0
        let spares = (0..<workload.batches.count).reversed()
        for (number, spare) in zip(workload.batches.indices, spares) {
            state = try step(workload, number, state, spare, original, &refusals)
        }
        Mark.note("\(refusals) refusals").write()
        Mark.finished.write()
    }

    /// One batch in an engine that was opened with `spare` descriptors left; then again with plenty.
    private func step(
        _ workload: Workload, _ number: Int, _ state: ReferenceState, _ spare: Int, _ original: rlimit,
        _ refusals: inout Int
    ) throws -> ReferenceState {
        let batch = workload.batches[number]
        let states = Workload.states(of: batch, after: state)
        var isAcknowledged = false
        try limit(original, spare: spare)
        do {
            let backend = try job.open(factory)
            defer { do { try backend.close() } catch { Mark.note("close: \(error)").write() } }
            try backend.apply(batch)
            isAcknowledged = true
            let found = try ReferenceState(reading: backend, keys: workload.keys, names: Workload.names)
            guard found == states[states.count - 1] else {
                throw ConformanceFailure("with \(spare) descriptors to spare a read is wrong")
            }
        } catch is StorageError {
            refusals += 1
        }
        try limit(original, spare: nil)
        let backend = try job.open(factory)
        let found = try ReferenceState(reading: backend, keys: workload.keys, names: Workload.names)
        let allowed =
            isAcknowledged
            ? [states[states.count - 1]]
            : backend.capabilities.atomicBatches ? [states[0], states[states.count - 1]] : states
        guard allowed.contains(found) else {
            throw ConformanceFailure(
                "after \(spare) descriptors to spare: \(found.difference(from: states[states.count - 1]) ?? "")")
        }
        try backend.apply(batch)
        try backend.close()
        return states[states.count - 1]
    }

    private func limit(_ original: rlimit, spare: Int?) throws {
        var limit = original
        if let spare {
            // The lowest free number tells how many are in use, as far as there are no gaps.
            let next = dup(0)
            guard next >= 0 else { throw ConformanceFailure("no descriptor to begin with") }
            close(next)
            limit.rlim_cur = rlim_t(Int(next) + spare)
        }
        guard setrlimit(DescriptorRun.resource, &limit) == 0 else { throw ConformanceFailure("the limit can't be set") }
    }

    #if canImport(Glibc)
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    private static let resource = RLIMIT_NOFILE
    #endif
}
