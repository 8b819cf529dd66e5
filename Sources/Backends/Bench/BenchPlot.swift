/// A plot as SVG text: one row per contender, a logarithmic axis, and on it a mark for the median and a line for the range.
///
/// Marks instead of bars: the length of a bar on a logarithmic axis means nothing.
package struct BenchPlot {
    struct Entry {
        var label: String
        /// Ascending positions; the one at `mark` is drawn, all are joined by a line.
        var figures: [Double]
        var mark: Int
        var isBaseline: Bool
        /// What a reader sees who points at it.
        var title: String
    }

    let caption: String
    let entries: [Entry]
    let format: (Double) -> String

    private static let labelWidth = 190.0
    private static let plotWidth = 430.0
    private static let rowHeight = 20.0
    private static let width = labelWidth + plotWidth + 40

    var svg: String {
        let figures = entries.flatMap(\.figures).filter { $0 > 0 }
        guard let low = figures.min(), let high = figures.max() else { return "" }
        let (first, last) = BenchPlot.decades(low, high)
        let height = Double(entries.count) * BenchPlot.rowHeight + 30
        var text = """
            <figure><figcaption>\(HTMLText.escape(caption))</figcaption>
            <svg viewBox="0 0 \(BenchPlot.place(BenchPlot.width)) \(BenchPlot.place(height))" role="img" \
            aria-label="\(HTMLText.escape(caption))">

            """
        let x = { (value: Double) -> Double in
            let share = (BenchPlot.log10(value) - Double(first)) / Double(last - first)
            return BenchPlot.labelWidth + share * BenchPlot.plotWidth
        }
        for decade in first...last {
            let position = BenchPlot.place(x(BenchPlot.power(decade)))
            text +=
                "<line class=\"grid\" x1=\"\(position)\" x2=\"\(position)\" y1=\"4\" y2=\"\(BenchPlot.place(height - 24))\"/>"
            text +=
                "<text class=\"tick\" x=\"\(position)\" y=\"\(BenchPlot.place(height - 8))\" text-anchor=\"middle\">"
            text += "\(HTMLText.escape(format(BenchPlot.power(decade))))</text>\n"
        }
        for (row, entry) in entries.enumerated() {
            let y = BenchPlot.place(Double(row) * BenchPlot.rowHeight + 14)
            let kind = entry.isBaseline ? "base" : "engine"
            text += "<g class=\"\(kind)\"><title>\(HTMLText.escape(entry.title))</title>"
            text +=
                "<text class=\"name\" x=\"\(BenchPlot.place(BenchPlot.labelWidth - 10))\" y=\"\(y)\" dy=\"4\" text-anchor=\"end\">"
            text += "\(HTMLText.escape(entry.label))</text>"
            let known = entry.figures.filter { $0 > 0 }
            if let from = known.first, let to = known.last {
                text +=
                    "<line x1=\"\(BenchPlot.place(x(from)))\" x2=\"\(BenchPlot.place(x(to)))\" y1=\"\(y)\" y2=\"\(y)\"/>"
                let middle = entry.figures[entry.mark]
                if middle > 0 { text += "<circle cx=\"\(BenchPlot.place(x(middle)))\" cy=\"\(y)\" r=\"4\"/>" }
            }
            text += "</g>\n"
        }
        return text + "</svg></figure>\n"
    }

    /// Whole powers of ten around the figures, at least one apart.
    private static func decades(_ low: Double, _ high: Double) -> (Int, Int) {
        let first = Int(log10(low).rounded(.down))
        return (first, max(first + 1, Int(log10(high).rounded(.up))))
    }

    private static func place(_ value: Double) -> String { BenchFormat.decimals(value, 1) }

    private static func power(_ decade: Int) -> Double {
        var value = 1.0
        for _ in 0..<abs(decade) { value *= 10 }
        return decade < 0 ? 1 / value : value
    }

    /// By hand: the standard library has no logarithm. Exact enough for a tenth of a pixel.
    package static func log10(_ value: Double) -> Double {
        let z = (value.significand - 1) / (value.significand + 1)
        var term = z
        var sum = 0.0
        for odd in stride(from: 1.0, through: 41.0, by: 2.0) {
            sum += term / odd
            term *= z * z
        }
        return (2 * sum + Double(value.exponent) * 0.693_147_180_559_945_3) / 2.302_585_092_994_045_7
    }
}
