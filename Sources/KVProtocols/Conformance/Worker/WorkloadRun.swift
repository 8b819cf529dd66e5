import KVProtocols

/// In the worker: applies a workload and marks what was acknowledged. Errors end it.
struct WorkloadRun {
    let job: WorkerJob
    let factory: BackendFactory

    init(_ job: WorkerJob, _ factory: BackendFactory) {
        self.job = job
        self.factory = factory
    }

    func run() throws {
        let workload = Workload(seed: job.seed, isLong: job.isLong)
        var backend = try open()
        for (number, batch) in workload.batches.enumerated() {
            if workload.reopens.contains(number) {
                try close(backend)
                backend = try open()
            }
            Mark.begin(number).write()
            try backend.apply(batch)
            Mark.acknowledged(number).write()
        }
        try close(backend)
        Mark.finished.write()
    }

    private func open() throws -> any StorageBackend {
        Mark.opening.write()
        let backend = try factory.open(job.context)
        Mark.opened.write()
        return backend
    }

    private func close(_ backend: any StorageBackend) throws {
        Mark.closing.write()
        try backend.close()
        Mark.closed.write()
    }
}

extension WorkerJob {
    var context: BackendContext {
        BackendContext(path: folder, partitions: ConformanceSuite.partitions, options: options)
    }
}
