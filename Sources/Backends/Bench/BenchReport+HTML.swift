extension BenchReport {
    /// One page without scripts or anything from elsewhere: what was measured, ratios, plots and every figure.
    package var html: String {
        HTMLText.page(
            title: "Storage engines compared", colours: BenchReport.colours, style: BenchReport.style,
            body: """
                \(HTMLText.facts(machine))<h2>What was measured</h2>
                \(HTMLText.facts(contenders.map { ($0.name, $0.summary) }))\
                <ul>\(notes.map { "<li>\(HTMLText.escape($0))</li>" }.joined())</ul>
                \(ratioTable)\(plan.sizes.map(section).joined())
                """)
    }

    private static let colours = (
        light: "--engine:#0b63c5;--base:#7a828a", dark: "--engine:#6cb6ff;--base:#9198a1"
    )
    private static let style = """
        body{max-width:74rem}.good{color:var(--good)}.bad{color:var(--bad)}.plots{display:flex;flex-wrap:wrap;gap:1rem}
        figure{margin:0;flex:1 1 26rem;max-width:36rem}figcaption{margin:.3rem 0}.engine line{stroke:var(--engine);stroke-width:2}
        .engine circle{fill:var(--engine)}.base line{stroke:var(--base);stroke-width:2}
        .base circle{fill:var(--back);stroke:var(--base);stroke-width:2}
        """

    /// Rows are contenders with a baseline, columns cells: what an operation costs, as a multiple of the baseline's.
    private var ratioTable: String {
        let judged = contenders.filter { $0.baseline != nil }
        guard !judged.isEmpty else { return "" }
        var text =
            "<h2>Cost beside the baseline</h2><p>Time of an operation divided by the baseline's, then the same of "
        text +=
            "processor time; medians of ratios within one round.</p><div class=\"scroll\"><table><tr><th>bytes</th><th>mix</th><th>writers</th>"
        text += judged.map { "<th>\(HTMLText.escape($0.name))</th>" }.joined() + "</tr>\n"
        for cell in cells {
            text += "<tr><td>\(cell.size)</td><td>\(cell.mix.rawValue)</td><td>\(cell.writers)</td>"
            for contender in judged {
                guard let row = rows(of: cell).first(where: { $0.contender == contender.name }),
                    let time = timeRatio(row)
                else {
                    text += "<td></td>"
                    continue
                }
                let kind = time.median <= 1.15 ? "good" : time.median > 2 ? "bad" : "plain"
                text += "<td class=\"\(kind)\">\(BenchFormat.ratio(time.median))"
                text += processorRatio(row).map { " / \(BenchFormat.ratio($0.median))" } ?? ""
                text += "</td>"
            }
            text += "</tr>\n"
        }
        return text + "</table></div>\n"
    }

    private func section(_ size: Int) -> String {
        let parts = BenchMix.allCases.filter(plan.mixes.contains).map { mix in
            let rows = cells.filter { $0.size == size && $0.mix == mix }.flatMap(rows(of:))
            guard !rows.isEmpty else { return "" }
            return """
                <h3>\(mix.rawValue), values of \(size) bytes</h3><div class="plots">\(ratePlot(rows))\(latencyPlot(rows))</div>
                <details><summary>All figures</summary>\(HTMLText.table(BenchReport.columns, rows.map(figures)))</details>

                """
        }
        return "<h2>Values of \(size) bytes, \(plan.keyCount(size: size)) keys</h2>\n" + parts.joined()
    }

    private func ratePlot(_ rows: [Row]) -> String {
        let entries = rows.map { row in
            BenchPlot.Entry(
                label: label(row), figures: [row.rate.lowest, row.rate.median, row.rate.highest], mark: 1,
                isBaseline: isBaseline(row),
                title: "\(label(row)): \(BenchFormat.spread(row.rate, BenchFormat.figure)) per second")
        }
        return BenchPlot(
            caption: "Operations per second: median, and range over rounds (logarithmic)", entries: entries,
            format: { BenchFormat.figure($0) }
        ).svg
    }

    private func latencyPlot(_ rows: [Row]) -> String {
        let time = { (nanoseconds: Double) in BenchFormat.duration(nanoseconds: nanoseconds) }
        let entries = rows.map { row in
            let latency = row.latency
            let figures = [0.5, 0.99, 0.999].map { Double(latency.percentile($0)) }
            return BenchPlot.Entry(
                label: label(row), figures: figures, mark: 0, isBaseline: isBaseline(row),
                title: "\(label(row)): p50 \(time(figures[0])), p99 \(time(figures[1])), p99.9 \(time(figures[2]))")
        }
        return BenchPlot(
            caption: "Latency: p50, and a line to p99.9 (logarithmic)", entries: entries, format: time
        ).svg
    }

    private func label(_ row: Row) -> String { "\(row.contender), \(row.cell.writers)" }

    private func isBaseline(_ row: Row) -> Bool { contenders.first { $0.name == row.contender }?.isEngine == false }
}
