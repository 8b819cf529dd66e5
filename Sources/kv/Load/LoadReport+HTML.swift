import KVBackendBench

extension LoadReport {
    /// One page without scripts or anything from elsewhere: facts, figures, operations over time, latencies.
    package var html: String {
        let facts = facts.map { "<tr><th>\(HTMLText.escape($0.0))</th><td>\(HTMLText.escape($0.1))</td></tr>" }
        let head = LoadReport.columns.map { "<th>\(HTMLText.escape($0))</th>" }
        let table = rows.map { "<tr>" + $0.map { "<td>\(HTMLText.escape($0))</td>" }.joined() + "</tr>" }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>A cluster under load</title><style>\(LoadReport.style)</style></head><body>
            <h1>A cluster under load</h1>
            <div class="scroll"><table class="facts">\(facts.joined())</table></div>
            <div class="scroll"><table><tr>\(head.joined())</tr>\(table.joined())</table></div>
            <ul class="doubts">\(doubts.map { "<li>\(HTMLText.escape($0))</li>" }.joined())</ul>
            \(ratePlot)\(latencyPlot)</body></html>

            """
    }

    private static let style = """
        :root{color-scheme:light dark;--text:#1b1f24;--back:#fff;--line:#d0d7de;--a:#0b63c5;--b:#a4540e;--c:#116329;--d:#6f42c1;--e:#7a828a;--bad:#a40e26}
        @media(prefers-color-scheme:dark){:root{--text:#e6edf3;--back:#0d1117;--line:#30363d;--a:#6cb6ff;--b:#e3a04f;--c:#57ab5a;--d:#b392f0;--e:#9198a1;--bad:#ff7b72}}
        body{font:15px/1.45 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:60rem;margin:2rem auto;padding:0 1rem}
        .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5rem 0}
        th,td{padding:.15rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
        th:first-child,td:first-child{text-align:left}.facts td{text-align:left;white-space:normal}.doubts{color:var(--bad)}
        figure{margin:1rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}svg text{fill:var(--text);font-size:12px}
        .grid{stroke:var(--line)}.curve{fill:none;stroke-width:2}
        """

    private var ratePlot: String {
        let points = result.tally.seconds.enumerated().map { (Double($0.offset + 1), Double($0.element)) }
        return CurvePlot(
            caption: "Operations in each second", across: "seconds",
            curves: [CurvePlot.Curve(name: "all", points: points)], ticks: nil, isLogarithmic: false,
            format: BenchFormat.figure
        ).svg
    }

    /// Across: how many of ten, hundred, ... operations took at most so long.
    private var latencyPlot: String {
        let shares = stride(from: 0.0, through: 4.0, by: 0.1).map { 1 - Self.power(-$0) }
        let curves = LoadOperation.allCases.compactMap { operation -> CurvePlot.Curve? in
            let latency = result.tally.latency(operation)
            guard latency.count > 0 else { return nil }
            // Beyond one in as many as there were, a percentile says nothing.
            let points = shares.enumerated().filter { 1 - $0.element >= 1 / Double(latency.count) }.map {
                (Double($0.offset) / 10, max(Double(latency.percentile($0.element)) / 1e6, 0.001))
            }
            return CurvePlot.Curve(name: operation.rawValue, points: points)
        }
        let ticks = [(0.3, "p50"), (1.0, "p90"), (2.0, "p99"), (3.0, "p99.9"), (4.0, "p99.99")]
        return CurvePlot(
            caption: "Latency in milliseconds", across: "share of operations that took no longer", curves: curves,
            ticks: ticks, isLogarithmic: true, format: BenchFormat.figure
        ).svg
    }

    private static func power(_ exponent: Double) -> Double {
        // Tenths of decades are all that is needed.
        var value = 1.0
        for _ in 0..<Int((abs(exponent) * 10).rounded()) { value *= 1.258_925_411_794_167_2 }
        return exponent < 0 ? 1 / value : value
    }
}
