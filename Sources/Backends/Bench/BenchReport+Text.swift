extension BenchReport {
    static let columns = [
        "contender", "writers", "operations/s", "time ratio", "cpu/op", "cpu ratio", "p50", "p95", "p99", "p99.9",
        "max",
        "written/byte", "disk", "own memory", "mapped",
    ]

    /// A row's figures, in the order of `columns`. "n/a" is what could not be measured, "" what does not apply.
    func figures(_ row: Row) -> [String] {
        let latency = row.latency
        let time = { (fraction: Double) in BenchFormat.duration(nanoseconds: Double(latency.percentile(fraction))) }
        let ratio = { (spread: BenchSpread?) in spread.map { BenchFormat.spread($0, BenchFormat.ratio) } ?? "" }
        let storesBytes = row.rounds.contains { $0.bytesStored > 0 }
        return [
            row.contender, String(row.cell.writers), BenchFormat.spread(row.rate, BenchFormat.figure),
            ratio(timeRatio(row)), BenchFormat.duration(nanoseconds: row.processorTime.median * 1e9),
            ratio(processorRatio(row)), time(0.5), time(0.95), time(0.99), time(0.999),
            BenchFormat.duration(nanoseconds: Double(latency.longest)),
            storesBytes ? row.writtenPerByte.map(BenchFormat.figure) ?? "n/a" : "",
            row.cell.mix.writes ? row.bytesOnDisk.map(BenchFormat.bytes) ?? "n/a" : "",
            row.ownMemory.map(BenchFormat.bytes) ?? "n/a", row.mappedMemory.map(BenchFormat.bytes) ?? "n/a",
        ]
    }

    /// Tables for a terminal, one for each size and mix, under what a reader has to know.
    package var text: String {
        var lines = machine.map { "\($0.0): \($0.1)" }
        lines += [""] + contenders.map { "\($0.name): \($0.summary)" } + [""] + notes.map { "- \($0)" }
        for size in plan.sizes {
            for mix in BenchMix.allCases where plan.mixes.contains(mix) {
                let rows = cells.filter { $0.size == size && $0.mix == mix }.flatMap(rows(of:))
                guard !rows.isEmpty else { continue }
                lines += ["", "\(mix.rawValue), values of \(size) bytes, \(plan.keyCount(size: size)) keys"]
                lines += BenchFormat.aligned([BenchReport.columns] + rows.map(figures))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
