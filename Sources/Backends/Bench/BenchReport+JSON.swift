extension BenchReport {
    /// Everything that was measured, per round too, as one JSON object. Durations in nanoseconds.
    package var json: String {
        JSONText.object([
            ("machine", JSONText.object(machine.map { ($0.0, JSONText.string($0.1)) })),
            (
                "plan",
                JSONText.object([
                    ("rounds", String(plan.rounds)), ("seconds", JSONText.number(plan.seconds)),
                    ("operations", plan.operations == .max ? "null" : String(plan.operations)),
                    ("keys", String(plan.keys)), ("store_bytes", String(plan.storeBytes)),
                ])
            ),
            ("notes", JSONText.array(notes.map(JSONText.string))),
            (
                "contenders",
                JSONText.array(
                    contenders.map { contender in
                        JSONText.object([
                            ("name", JSONText.string(contender.name)),
                            ("baseline", contender.baseline.map(JSONText.string) ?? "null"),
                            ("summary", JSONText.string(contender.summary)),
                        ])
                    })
            ),
            ("results", JSONText.array(cells.flatMap(rows(of:)).map(json))),
        ]) + "\n"
    }

    private func json(_ row: Row) -> String {
        let latency = row.latency
        let percentiles = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)]
        return JSONText.object([
            ("contender", JSONText.string(row.contender)),
            ("mix", JSONText.string(row.cell.mix.rawValue)),
            ("value_bytes", String(row.cell.size)),
            ("writers", String(row.cell.writers)),
            ("operations_per_second", JSONText.spread(row.rate)),
            ("time_ratio", timeRatio(row).map(JSONText.spread) ?? "null"),
            ("processor_ns", JSONText.number(row.processorTime.median * 1e9)),
            ("processor_ratio", processorRatio(row).map(JSONText.spread) ?? "null"),
            (
                "latency_ns",
                JSONText.object(
                    percentiles.map { ($0.0, String(latency.percentile($0.1))) } + [("max", String(latency.longest))])
            ),
            ("written_per_byte", row.writtenPerByte.map(JSONText.number) ?? "null"),
            ("disk_bytes", row.bytesOnDisk.map(JSONText.number) ?? "null"),
            ("own_memory_bytes", row.ownMemory.map(JSONText.number) ?? "null"),
            ("mapped_memory_bytes", row.mappedMemory.map(JSONText.number) ?? "null"),
            ("rounds_operations_per_second", JSONText.array(row.rounds.map { JSONText.number($0.rate) })),
        ])
    }
}

/// Pieces of JSON text.
private enum JSONText {
    static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(string($0.0)):\($0.1)" }.joined(separator: ",") + "}"
    }

    static func array(_ elements: [String]) -> String { "[" + elements.joined(separator: ",") + "]" }

    static func number(_ value: Double) -> String { value.isFinite ? BenchFormat.decimals(value, 3) : "null" }

    static func spread(_ spread: BenchSpread) -> String {
        object([("median", number(spread.median)), ("min", number(spread.lowest)), ("max", number(spread.highest))])
    }

    static func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
