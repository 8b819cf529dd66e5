import KVProtocols

/// In the worker: applies a workload while the tracer lets calls fail, and judges what the engine makes of it:
///
/// - a batch that was refused is there in part (or not at all, or as a whole where batches are atomic), everything before
///   it is there, and the same batch goes through as soon as calls succeed again;
/// - a poisoned engine refuses everything until it was opened again;
/// - reads tell the truth or throw.
///
/// Which error codes are right for which fault is judged by the suite, from the marks.
struct FaultRun {
    private let job: WorkerJob
    private let factory: BackendFactory
    private let workload: Workload
    private let keys: [Key]

    init(_ job: WorkerJob, _ factory: BackendFactory) {
        self.job = job
        self.factory = factory
        workload = Workload(seed: job.seed, isLong: job.isLong)
        keys = workload.keys
    }

    func run() throws {
        var backend = try open()
        var state = ReferenceState()
        for (number, batch) in workload.batches.enumerated() {
            if workload.reopens.contains(number) {
                try close(backend)
                backend = try open()
            }
            for attempt in 1... {
                let states = Workload.states(of: batch, after: state)
                if let error = try apply(number, batch, backend) {
                    backend = try settle(backend, error.code, states, "batch \(number)")
                    guard attempt < 3 else {
                        throw ConformanceFailure(
                            "batch \(number) is still refused although calls succeed again: \(error)")
                    }
                    continue
                }
                state = states[states.count - 1]
                break
            }
            // Under a tracer reads are slow; a lie that was stored is found by later ones too.
            if number % 4 == 3 { try read(backend, expecting: [state], "after batch \(number)") }
        }
        try close(backend)
        backend = try open()
        try expect(backend, [state], "after all batches and reopening")
        try close(backend)
        Mark.finished.write()
    }

    /// - Returns: why it was refused; `nil` when it was acknowledged.
    private func apply(
        _ number: Int, _ batch: [StorageOperation], _ backend: any StorageBackend
    ) throws -> StorageError? {
        Mark.begin(number).write()
        do {
            try backend.apply(batch)
            Mark.acknowledged(number).write()
            return nil
        } catch {
            Mark.refused(number, code: error.code.rawValue).write()
            Mark.note("batch \(number): \(error)").write()
            return error
        }
    }

    /// After a refused batch, with calls that succeed: one of `states`, without and then with opening anew.
    private func settle(
        _ backend: any StorageBackend, _ code: StorageError.Code, _ states: [ReferenceState], _ what: String
    ) throws -> any StorageBackend {
        let allowed = backend.capabilities.atomicBatches ? [states[0], states[states.count - 1]] : states
        if try isPoisoned(backend, what) {
            try close(backend)
            let backend = try open()
            try expect(backend, allowed, "\(what) was refused, the store poisoned and opened again:")
            return backend
        }
        guard code != .poisoned else {
            throw ConformanceFailure("\(what) was refused as poisoned, but then the store goes on without reopening")
        }
        try expect(backend, allowed, "\(what) was refused:")
        return backend
    }

    /// Whether the engine refuses everything.
    private func isPoisoned(_ backend: any StorageBackend, _ what: String) throws -> Bool {
        let key = keys[0]
        let calls: [(String, () throws(StorageError) -> Void)] = [
            ("read", { () throws(StorageError) in _ = try backend.read(key.partition, key) }),
            ("version", { () throws(StorageError) in _ = try backend.version(key.partition, key) }),
            (
                "scan",
                { () throws(StorageError) in
                    _ = try backend.scan(ScanRequest(partition: key.partition, limit: 10))
                }
            ),
            ("metadata", { () throws(StorageError) in _ = try backend.metadata(.node, Workload.names[0]) }),
            ("statistics", { () throws(StorageError) in _ = try backend.statistics() }),
            ("apply", { () throws(StorageError) in try backend.apply([.purge(key.partition, key)]) }),
        ]
        var poisoned: [String] = []
        for (name, call) in calls.dropLast() {
            do throws(StorageError) {
                try call()
            } catch {
                if error.code == .poisoned { poisoned.append(name) }
            }
        }
        if poisoned.isEmpty { return false }
        do throws(StorageError) {
            try calls[calls.count - 1].1()
        } catch {
            if error.code == .poisoned { poisoned.append("apply") }
        }
        let open = calls.map(\.0).filter { !poisoned.contains($0) }
        guard open.isEmpty else {
            throw ConformanceFailure(
                "\(what): the store is poisoned for \(poisoned.joined(separator: ", ")) but not for "
                    + open.joined(separator: ", "))
        }
        return true
    }

    // MARK: Steps that may fail once

    /// Opening may throw while a call fails; the next attempt must work.
    private func open() throws -> any StorageBackend {
        for attempt in 1... {
            do {
                return try job.open(factory)
            } catch {
                Mark.refused(-1, code: error.code.rawValue).write()
                Mark.note("open: \(error)").write()
                if attempt == 3 { throw ConformanceFailure("the store can't be opened any more: \(error)") }
            }
        }
        throw ConformanceFailure("unreachable")
    }

    private func close(_ backend: any StorageBackend) throws {
        Mark.closing.write()
        do {
            try backend.close()
        } catch {
            Mark.note("close: \(error)").write()
        }
        Mark.closed.write()
    }

    /// Reads while calls may fail: errors are honest, wrong answers are not. Then once more, when they succeed again.
    private func read(_ backend: any StorageBackend, expecting states: [ReferenceState], _ what: String) throws {
        Mark.reading.write()
        do {
            try expect(backend, states, what)
        } catch let error as StorageError {
            Mark.note("\(what): \(error)").write()
            Mark.read.write()
            return try expect(backend, states, "\(what), read again")
        }
        Mark.read.write()
    }

    private func expect(_ backend: any StorageBackend, _ states: [ReferenceState], _ what: String) throws {
        let found = try ReferenceState(reading: backend, keys: keys, names: Workload.names)
        if states.contains(found) { return }
        let difference = states.last.flatMap { found.difference(from: $0) } ?? "another state"
        throw ConformanceFailure("\(what) \(difference)\(states.count > 1 ? " (and is no allowed state)" : "")")
    }
}
