import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// In the worker: reads again and again, and marks each round, while another thread applies a workload.
struct ReaderRun {
    let job: WorkerJob
    let factory: BackendFactory

    func run() throws {
        let workload = Workload(seed: job.seed, isLong: job.isLong)
        let backend = try job.open(factory)
        try backend.apply(workload.batches[0])
        let isDone = Atomic<Bool>(false)
        try Threads.run([
            {
                defer { isDone.store(true, ordering: .releasing) }
                try ReaderRun.marked {
                    for (number, batch) in workload.batches.enumerated().dropFirst() {
                        Mark.begin(number).write()
                        try backend.apply(batch)
                        Mark.acknowledged(number).write()
                    }
                }
            },
            {
                try ReaderRun.marked {
                    let start = ContinuousClock.now
                    while !isDone.load(ordering: .acquiring) {
                        try ReaderRun.beginRound(after: ContinuousClock.now - start)
                        try ReaderRun.read(backend, workload.keys)
                        Mark.read.write()
                    }
                }
            },
        ])
        try backend.close()
        Mark.finished.write()
    }

    /// Whoever holds the other thread up for this one has to know at once that nothing more will come of it.
    private static func marked(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            Mark.failed("\(error)").write()
            throw error
        }
    }

    /// A round that waits for the disk ends the process by its alarm. How long all of them take is the machine's affair, up
    /// to a bound at which the batches don't come to an end.
    private static func beginRound(after duration: Duration) throws {
        guard duration < .seconds(Int64(WorkerJob.Kind.workload.secondsAtMost)) else {
            throw ConformanceFailure(
                "the batches took more than \(duration.components.seconds) s although reads went on beside them: the engine "
                    + "or the machine stands still")
        }
        alarm(WorkerJob.Kind.readers.secondsAtMost)
        Mark.reading.write()
    }

    /// Every call that may run beside `apply`.
    private static func read(_ backend: any StorageBackend, _ keys: [Key]) throws {
        for key in keys.prefix(8) {
            _ = try backend.read(key.partition, key)
            _ = try backend.version(key.partition, key)
            _ = try backend.scan(ScanRequest(partition: key.partition, limit: 3))
        }
        _ = try backend.metadata(.node, Workload.names[0])
        _ = try backend.statistics()
    }
}
