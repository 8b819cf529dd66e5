package import KVProtocols

/// Runs a comparison: in each round every cell, in each cell every contender, in an order that changes from round to round.
///
/// So whatever else the machine does meets all contenders alike, and a ratio compares what was measured within seconds.
package struct BenchRunner: Sendable {
    /// How far the comparison is.
    package struct Progress: Sendable {
        package var done: Int
        package var total: Int
        /// What is measured now.
        package var label: String
    }

    private let plan: BenchPlan
    private let contenders: [BenchContender]
    private let folder: String

    /// - Parameter folder: an existing folder; each store gets one of its own below it, removed afterwards.
    /// - Throws: `.invalid` for a plan outside its limits, or two contenders of one name.
    package init(_ plan: BenchPlan, _ contenders: [BenchContender], folder: String) throws(StorageError) {
        try plan.validate()
        guard !contenders.isEmpty, Set(contenders.map(\.name)).count == contenders.count else {
            throw StorageError(.invalid, "name at least one engine, and each once")
        }
        self.plan = plan
        self.contenders = contenders
        self.folder = folder
    }

    /// The cells of one size in the order in which they run: each finds what the one before left.
    private func cells(size: Int) -> [(cell: BenchCell, part: Int)] {
        BenchMix.allCases.filter(plan.mixes.contains).flatMap { mix in
            // The last load is the one that the other mixes go on with.
            plan.writers.sorted().enumerated().map { (BenchCell(size: size, mix: mix, writers: $1), $0) }
        }
    }

    /// - Parameter progress: called before each measurement.
    /// - Throws: the first error of a store, also when one does not hold what it was told. Folders are removed anyway.
    package func run(progress: (Progress) -> Void = { _ in }) throws(StorageError) -> BenchReport {
        var report = BenchReport(plan: plan, contenders: contenders, machine: Machine.description(of: folder))
        var done = 0
        let total = plan.sizes.map { cells(size: $0).count }.reduce(0, +) * contenders.count * plan.rounds
        for size in plan.sizes {
            let keys = BenchKeys(count: plan.keyCount(size: size))
            for round in 0..<plan.rounds {
                try withStores(keys, size: size, round: round) { stores throws(StorageError) in
                    for (cell, part) in cells(size: size) {
                        for store in stores {
                            progress(
                                Progress(
                                    done: done, total: total,
                                    label: "\(size) B \(cell.mix.rawValue) \(cell.writers) \(store.contender.name)"))
                            report.add(try store.measure(cell, plan, part: part), cell, store.contender.name)
                            done += 1
                        }
                    }
                }
            }
        }
        progress(Progress(done: total, total: total, label: "done"))
        return report
    }

    private func withStores(
        _ keys: BenchKeys, size: Int, round: Int, _ body: ([BenchStore]) throws(StorageError) -> Void
    ) throws(StorageError) {
        var stores: [BenchStore] = []
        var failure: StorageError?
        let first = round % contenders.count
        do throws(StorageError) {
            for contender in contenders[first...] + contenders[..<first] {
                stores.append(try BenchStore(contender, in: folder, keys: keys, size: size))
            }
            try body(stores)
        } catch {
            failure = error
        }
        // The first error is the one to report; what can be removed is.
        for store in stores {
            do throws(StorageError) { try store.discard() } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }
}
