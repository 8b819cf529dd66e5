import KVProtocols

/// The results of a comparison.
package struct BenchReport: Sendable {
    /// One contender's results in one cell, one per round.
    package struct Row: Sendable {
        package let cell: BenchCell
        package let contender: String
        package fileprivate(set) var rounds: [BenchResult]

        /// Operations per second.
        package var rate: BenchSpread { BenchSpread(rounds.map(\.rate)) }
        /// Seconds of a processor for each operation.
        package var processorTime: BenchSpread { BenchSpread(rounds.map(\.processorTime)) }

        /// Of all rounds together.
        package var latency: LatencyHistogram {
            rounds.reduce(into: LatencyHistogram()) { $0.add($1.latency) }
        }

        /// Bytes written to disks for each byte of keys and values stored; `nil` when that was not measured.
        package var writtenPerByte: Double? {
            var written: UInt64 = 0
            var stored: UInt64 = 0
            for round in rounds {
                guard let bytes = round.bytesWritten else { return nil }
                written += bytes
                stored += round.bytesStored
            }
            return stored > 0 ? Double(written) / Double(stored) : nil
        }

        package var bytesOnDisk: Double? { BenchReport.median(rounds.map { $0.bytesOnDisk.map { Double($0) } }) }
        package var ownMemory: Double? { BenchReport.median(rounds.map { $0.ownMemory.map { Double($0) } }) }
        package var mappedMemory: Double? { BenchReport.median(rounds.map { $0.mappedMemory.map { Double($0) } }) }
    }

    package let plan: BenchPlan
    package let contenders: [BenchContender]
    /// Name and value.
    package let machine: [(String, String)]
    /// In the order in which they were first measured; complete after a run.
    package private(set) var rows: [Row] = []

    package init(plan: BenchPlan, contenders: [BenchContender], machine: [(String, String)]) {
        self.plan = plan
        self.contenders = contenders
        self.machine = machine
    }

    /// Notes one round's result.
    package mutating func add(_ result: BenchResult, _ cell: BenchCell, _ contender: String) {
        if let index = rows.firstIndex(where: { $0.cell == cell && $0.contender == contender }) {
            rows[index].rounds.append(result)
        } else {
            rows.append(Row(cell: cell, contender: contender, rounds: [result]))
        }
    }

    /// The cells, each once, in the order of the run.
    package var cells: [BenchCell] {
        var seen: Set<BenchCell> = []
        return rows.map(\.cell).filter { seen.insert($0).inserted }
    }

    /// The rows of a cell in the order of the contenders.
    package func rows(of cell: BenchCell) -> [Row] {
        contenders.compactMap { contender in
            rows.first { $0.cell == cell && $0.contender == contender.name }
        }
    }

    /// What an operation costs in time, as a multiple of what it costs the baseline in the same round; `nil` without one.
    package func timeRatio(_ row: Row) -> BenchSpread? {
        ratio(row) { own, base in own.rate > 0 ? base.rate / own.rate : nil }
    }

    /// The same of the time that the processor worked: what is left of a difference when the disk is the same.
    package func processorRatio(_ row: Row) -> BenchSpread? {
        ratio(row) { own, base in base.processorTime > 0 ? own.processorTime / base.processorTime : nil }
    }

    private func ratio(_ row: Row, _ divide: (BenchResult, BenchResult) -> Double?) -> BenchSpread? {
        guard let name = contenders.first(where: { $0.name == row.contender })?.baseline,
            let base = rows.first(where: { $0.cell == row.cell && $0.contender == name })
        else { return nil }
        let ratios = zip(row.rounds, base.rounds).compactMap(divide)
        return ratios.isEmpty ? nil : BenchSpread(ratios)
    }

    private static func median(_ values: [Double?]) -> Double? {
        let known = values.compactMap(\.self)
        return known.count == values.count && !known.isEmpty ? BenchSpread(known).median : nil
    }

    /// What a reader has to know to judge the figures.
    package var notes: [String] {
        [
            "Calls are timed, not the making of what they store. Rounds repeat everything on fresh stores; contenders take "
                + "turns within each cell, and the order changes from round to round. Figures are medians over "
                + "\(plan.rounds) rounds, in brackets the lowest and highest; percentiles are over all rounds.",
            "Writers are callers at once, grouped as a node's flusher groups them: with 64 writers a batch has up to 64 "
                + "operations, one thread applies batches, and each operation takes as long as its batch. With 1 writer "
                + "each batch has one operation. Every batch is durable when its call returns.",
            "Reads and scans with n writers are done by n threads, but at most twice as many as there are processors.",
            "Time and processor ratios: cost of an operation divided by the baseline's in the same round; below 1 is "
                + "cheaper than the baseline. Processor time counts what this thread's program and system calls used.",
            "Written per byte: what the kernel says that this process wrote to disks, divided by keys and values stored; "
                + "the file system's own journal is not in it. n/a where it can't be measured.",
            "Memory: growth of resident memory during the cell; mapped is memory that belongs to files and can be dropped.",
        ] + plan.mixes.map { "\($0.rawValue): \($0.summary)." }
    }
}

/// The middle of some figures, and how far they lie apart.
package struct BenchSpread: Hashable, Sendable {
    package let median: Double
    package let lowest: Double
    package let highest: Double

    /// All zero for no figures.
    package init(_ figures: [Double]) {
        let sorted = figures.sorted()
        guard let first = sorted.first, let last = sorted.last else {
            (median, lowest, highest) = (0, 0, 0)
            return
        }
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        (lowest, highest) = (first, last)
    }
}
