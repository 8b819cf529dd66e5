import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// In the worker: opens what a killed one left, says what it finds there, applies one more batch, and ends without closing.
struct SecondLifeRun {
    let job: WorkerJob
    let factory: BackendFactory

    func run() throws {
        let workload = Workload(seed: job.seed, isLong: job.isLong)
        let backend = try job.open(factory)
        let found = try ReferenceState(reading: backend, keys: workload.keys, names: Workload.names)
        let operations = workload.batches.reduce(0) { $0 + $1.count }
        guard let shown = (0...operations).first(where: { workload.state(afterOperations: $0) == found }) else {
            throw ConformanceFailure("the store was opened after a kill with a content that it never had")
        }
        Mark.shown(shown).write()
        Mark.begin(workload.batches.count).write()
        try backend.apply(workload.secondLife)
        Mark.acknowledged(workload.batches.count).write()
        Mark.finished.write()
        // Nothing that an object does at its end belongs to this life.
        _exit(0)
    }
}
