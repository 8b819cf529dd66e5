extension BenchReport {
    /// One page without scripts or anything from elsewhere: what was measured, ratios, plots and every figure.
    package var html: String {
        let facts = machine.map { "<tr><th>\(HTMLText.escape($0.0))</th><td>\(HTMLText.escape($0.1))</td></tr>" }
        let what = contenders.map {
            "<tr><th>\(HTMLText.escape($0.name))</th><td>\(HTMLText.escape($0.summary))</td></tr>"
        }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>Storage engines compared</title><style>\(BenchReport.style)</style></head><body>
            <h1>Storage engines compared</h1>
            <div class="scroll"><table class="facts">\(facts.joined())</table></div>
            <h2>What was measured</h2>
            <div class="scroll"><table class="facts">\(what.joined())</table></div>
            <ul>\(notes.map { "<li>\(HTMLText.escape($0))</li>" }.joined())</ul>
            \(ratioTable)\(plan.sizes.map(section).joined())</body></html>

            """
    }

    private static let style = """
        :root{color-scheme:light dark;--text:#1b1f24;--back:#fff;--line:#d0d7de;--engine:#0b63c5;--base:#7a828a;--good:#116329;--bad:#a40e26}
        @media(prefers-color-scheme:dark){:root{--text:#e6edf3;--back:#0d1117;--line:#30363d;--engine:#6cb6ff;--base:#9198a1;--good:#57ab5a;--bad:#ff7b72}}
        body{font:15px/1.45 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:74rem;margin:2rem auto;padding:0 1rem}
        .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5rem 0}
        th,td{padding:.15rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
        th:first-child,td:first-child{text-align:left}.facts td{text-align:left;white-space:normal}
        .good{color:var(--good)}.bad{color:var(--bad)}.plots{display:flex;flex-wrap:wrap;gap:1rem}
        figure{margin:0;flex:1 1 26rem;max-width:36rem}figcaption{font-weight:600;margin:.3rem 0}svg{width:100%;height:auto}
        svg text{fill:var(--text);font-size:12px}.grid{stroke:var(--line)}.engine line{stroke:var(--engine);stroke-width:2}
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
            let table = rows.map { row in
                "<tr>" + figures(row).map { "<td>\(HTMLText.escape($0))</td>" }.joined() + "</tr>\n"
            }
            return """
                <h3>\(mix.rawValue), values of \(size) bytes</h3><div class="plots">\(ratePlot(rows))\(latencyPlot(rows))</div>
                <details><summary>All figures</summary><div class="scroll"><table>
                <tr>\(BenchReport.columns.map { "<th>\(HTMLText.escape($0))</th>" }.joined())</tr>
                \(table.joined())</table></div></details>

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
