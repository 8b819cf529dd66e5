import KVBackendBench

extension LoadReport {
    /// One page without scripts or anything from elsewhere: facts, figures, operations over time, latencies.
    package var html: String {
        let doubts = doubts.map { "<li>\(HTMLText.escape($0))</li>" }
        return HTMLText.page(
            title: "A cluster under load", colours: LoadReport.colours, style: LoadReport.style,
            body: """
                \(HTMLText.facts(facts))\(HTMLText.table(LoadReport.columns, rows))\
                <ul class="doubts">\(doubts.joined())</ul>
                \(ratePlot)\(latencyPlot)
                """)
    }

    private static let colours = (
        light: "--a:#0b63c5;--b:#a4540e;--c:#116329;--d:#6f42c1;--e:#7a828a",
        dark: "--a:#6cb6ff;--b:#e3a04f;--c:#57ab5a;--d:#b392f0;--e:#9198a1"
    )
    private static let style = """
        body{max-width:60rem}.doubts{color:var(--bad)}figure{margin:1rem 0}.curve{fill:none;stroke-width:2}
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
            let points = shares.enumerated().filter { 1 - $0.element >= 1 / Double(latency.count) }.compactMap {
                place, share in
                result.percentile(share, latency).map { (Double(place) / 10, max(Double($0) / 1e6, 0.001)) }
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
