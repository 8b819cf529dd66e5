/// Figures for people.
package enum BenchFormat {
    /// At most three significant digits, thousands apart: 1234567 is "1,230,000".
    package static func figure(_ value: Double) -> String {
        guard value.isFinite else { return "n/a" }
        let size = abs(value)
        if size >= 100 {
            var step = 1.0
            while size / step >= 1000 { step *= 10 }
            return thousands(Int64((value / step).rounded() * step))
        }
        return decimals(value, size >= 10 ? 1 : 2)
    }

    /// With exactly so many digits behind the point.
    package static func decimals(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "n/a" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        var text = String(scaled)
        if digits > 0 {
            text = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
            text.insert(".", at: text.index(text.endIndex, offsetBy: -digits))
        }
        return value < 0 && scaled != 0 ? "-" + text : text
    }

    static func thousands(_ value: Int64) -> String {
        var rest = String(value.magnitude)[...]
        var groups: [Substring] = []
        while rest.count > 3 {
            groups.append(rest.suffix(3))
            rest = rest.dropLast(3)
        }
        return (value < 0 ? "-" : "") + ([rest] + groups.reversed()).joined(separator: ",")
    }

    /// A duration in its own unit.
    static func duration(nanoseconds: Double) -> String {
        for (unit, size) in [("s", 1e9), ("ms", 1e6), ("µs", 1e3)] where nanoseconds >= size {
            return figure(nanoseconds / size) + " " + unit
        }
        return figure(nanoseconds) + " ns"
    }

    static func bytes(_ bytes: Double) -> String {
        for (unit, size) in [("GiB", 1024.0 * 1024 * 1024), ("MiB", 1024.0 * 1024), ("KiB", 1024.0)]
        where abs(bytes) >= size {
            return figure(bytes / size) + " " + unit
        }
        return figure(bytes) + " B"
    }

    static func spread(_ spread: BenchSpread, _ format: (Double) -> String) -> String {
        "\(format(spread.median)) [\(format(spread.lowest))..\(format(spread.highest))]"
    }

    static func ratio(_ value: Double) -> String { decimals(value, 2) }

    /// Lines of a table whose rows all have as many cells: the first column to the left, figures to the right.
    package static func aligned(_ rows: [[String]]) -> [String] {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, text in
                let space = String(repeating: " ", count: widths[column] - text.count)
                return column == 0 ? text + space : space + text
            }.joined(separator: "  ")
        }
    }
}
