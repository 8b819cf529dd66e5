import KVProtocols

/// In the worker, because what an engine makes of damaged files may end the process: opens the store that a workload filled,
/// and reads everything.
struct InspectionRun {
    let job: WorkerJob
    let factory: BackendFactory

    /// Throws when a record is served that isn't the right one, or is missing while newer ones are there.
    func run() throws {
        defer { Mark.finished.write() }
        let workload = Workload(seed: job.seed, isLong: job.isLong)
        let backend: any StorageBackend
        do {
            backend = try job.open(factory)
        } catch {
            guard !error.message.isEmpty else { throw ConformanceFailure("it is refused without a message") }
            return Mark.note("refused: \(error.code.rawValue)").write()
        }
        var found: [Key: Record?] = [:]
        var damaged = 0
        for key in workload.keys {
            do {
                found[key] = .some(try backend.read(key.partition, key))
            } catch {
                damaged += 1
            }
        }
        try compareScans(backend, found, &damaged)
        try compare(found, workload)
        try backend.close()
        Mark.note(damaged == 0 ? "all right" : "\(damaged) errors").write()
    }

    /// The records that could be read are those of one moment: the end, or, where a log lost its tail, earlier.
    private func compare(_ found: [Key: Record?], _ workload: Workload) throws {
        var closest = ""
        var state = ReferenceState()
        var moments = [state]
        for operation in workload.batches.joined() {
            state.apply(operation)
            moments.append(state)
        }
        for moment in moments.reversed() {
            guard let key = found.first(where: { $0.value != moment.records[$0.key] })?.key else { return }
            if closest.isEmpty {
                closest =
                    "\(OperationText.quoted(key)) has \(ReferenceState.text(found[key] ?? nil)) instead of "
                    + ReferenceState.text(moment.records[key])
            }
        }
        throw ConformanceFailure("no moment of the store's history had these records; last: \(closest)")
    }

    private func compareScans(
        _ backend: any StorageBackend, _ found: [Key: Record?], _ damaged: inout Int
    ) throws {
        for number in 0..<ConformanceSuite.partitions {
            var request = ScanRequest(partition: PartitionID(UInt16(number)), limit: 50)
            while true {
                let page: ScanPage
                do {
                    page = try backend.scan(request)
                } catch {
                    damaged += 1
                    break
                }
                for entry in page.entries {
                    guard let record = entry.record else {
                        damaged += 1
                        continue
                    }
                    guard record.isIntact(for: entry.key), found[entry.key].map({ $0 == record }) ?? true else {
                        throw ConformanceFailure("a scan serves a wrong record of \(OperationText.quoted(entry.key))")
                    }
                }
                guard !page.isLast, let last = page.entries.last, request.after.map({ $0 < last.key }) ?? true else {
                    break
                }
                request.after = last.key
            }
        }
    }
}
