import KVProtocols

/// In the worker: applies a workload and marks what was acknowledged. Errors end it.
struct WorkloadRun {
    let job: WorkerJob
    let factory: BackendFactory

    func run() throws {
        let workload = Workload(seed: job.seed, isLong: job.isLong)
        var backend = try job.open(factory)
        for (number, batch) in workload.batches.enumerated() {
            if workload.reopens.contains(number) {
                try close(backend)
                backend = try job.open(factory)
            }
            Mark.begin(number).write()
            try backend.apply(batch)
            Mark.acknowledged(number).write()
        }
        try close(backend)
        Mark.finished.write()
    }

    private func close(_ backend: any StorageBackend) throws {
        Mark.closing.write()
        try backend.close()
        Mark.closed.write()
    }
}
