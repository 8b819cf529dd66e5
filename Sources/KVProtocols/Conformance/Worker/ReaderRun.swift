import KVProtocols
import Synchronization

/// In the worker: reads again and again, and marks each round, while another thread applies a workload.
struct ReaderRun {
    private let job: WorkerJob
    private let factory: BackendFactory

    init(_ job: WorkerJob, _ factory: BackendFactory) {
        self.job = job
        self.factory = factory
    }

    func run() throws {
        let workload = Workload(seed: job.seed, isLong: job.isLong)
        let backend = try factory.open(job.context)
        try backend.apply(workload.batches[0])
        let isDone = Atomic<Bool>(false)
        try Threads.run([
            {
                defer { isDone.store(true, ordering: .releasing) }
                for (number, batch) in workload.batches.enumerated().dropFirst() {
                    Mark.begin(number).write()
                    try backend.apply(batch)
                    Mark.acknowledged(number).write()
                }
            },
            {
                while !isDone.load(ordering: .acquiring) {
                    Mark.reading.write()
                    try ReaderRun.read(backend, workload.keys)
                    Mark.read.write()
                }
            },
        ])
        try backend.close()
        Mark.finished.write()
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
