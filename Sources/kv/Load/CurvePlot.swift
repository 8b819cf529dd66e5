import KVBackendBench

/// Curves over one axis as SVG text.
struct CurvePlot {
    struct Curve {
        var name: String
        /// Ascending across.
        var points: [(Double, Double)]
    }

    let caption: String
    let across: String
    let curves: [Curve]
    /// Where to write what; `nil`: the ends.
    let ticks: [(Double, String)]?
    /// The upright axis.
    let isLogarithmic: Bool
    let format: (Double) -> String

    private static let (left, top, width, height) = (70.0, 12.0, 700.0, 240.0)
    private static let colours = ["a", "b", "c", "d", "e"]

    var svg: String {
        let points = curves.flatMap(\.points)
        guard let first = points.map(\.0).min(), let last = points.map(\.0).max(), let high = points.map(\.1).max(),
            let low = points.map(\.1).min(), high > 0
        else { return "" }
        let marks = uprightMarks(low, high)
        guard let bottom = marks.first, let ceiling = marks.last else { return "" }
        let x = { (value: Double) in
            CurvePlot.left + (last > first ? (value - first) / (last - first) : 0.5) * CurvePlot.width
        }
        let y = { (value: Double) -> Double in
            let share =
                isLogarithmic
                ? BenchPlot.log10(value / bottom) / BenchPlot.log10(ceiling / bottom)
                : (value - bottom) / (ceiling - bottom)
            return CurvePlot.top + (1 - share) * CurvePlot.height
        }
        var text = """
            <figure><figcaption>\(HTMLText.escape(caption))</figcaption>
            <svg viewBox="0 0 \(Self.place(Self.left + Self.width + 110)) \(Self.place(Self.top + Self.height + 44))" \
            role="img" aria-label="\(HTMLText.escape(caption))">

            """
        for mark in marks {
            let place = Self.place(y(mark))
            text += "<line class=\"grid\" x1=\"\(Self.place(Self.left))\" x2=\"\(Self.place(Self.left + Self.width))\""
            text += " y1=\"\(place)\" y2=\"\(place)\"/><text x=\"\(Self.place(Self.left - 8))\" y=\"\(place)\" dy=\"4\""
            text += " text-anchor=\"end\">\(HTMLText.escape(format(mark)))</text>\n"
        }
        for (value, name) in ticks ?? [(first, format(first)), (last, format(last))] where first...last ~= value {
            text += "<text x=\"\(Self.place(x(value)))\" y=\"\(Self.place(Self.top + Self.height + 18))\""
            text += " text-anchor=\"middle\">\(HTMLText.escape(name))</text>\n"
        }
        text += "<text x=\"\(Self.place(Self.left + Self.width / 2))\" y=\"\(Self.place(Self.top + Self.height + 36))\""
        text += " text-anchor=\"middle\">\(HTMLText.escape(across))</text>\n"
        for (number, curve) in curves.enumerated() {
            let colour = "var(--\(Self.colours[number % Self.colours.count]))"
            let line = curve.points.map { "\(Self.place(x($0.0))),\(Self.place(y($0.1)))" }.joined(separator: " ")
            text += "<polyline class=\"curve\" style=\"stroke:\(colour)\" points=\"\(line)\"/>"
            let end = curve.points.last.map { y($0.1) } ?? 0
            text += "<text x=\"\(Self.place(Self.left + Self.width + 8))\" y=\"\(Self.place(end))\" dy=\"4\""
            text += " style=\"fill:\(colour)\">\(HTMLText.escape(curve.name))</text>\n"
        }
        return text + "</svg></figure>\n"
    }

    /// From at most the lowest to at least the highest: powers of ten, or five equal steps from zero.
    private func uprightMarks(_ low: Double, _ high: Double) -> [Double] {
        if !isLogarithmic {
            var step = 1.0
            while step * 50 < high { step *= 10 }
            while step * 10 < high { step *= 2 }
            while step * 5 < high { step *= 1.25 }
            return (0...5).map { Double($0) * step }
        }
        guard low > 0 else { return [] }
        var marks = [1.0]
        while marks[0] > low { marks.insert(marks[0] / 10, at: 0) }
        while marks.count > 1, marks[1] <= low { marks.removeFirst() }
        while marks[marks.count - 1] < high { marks.append(marks[marks.count - 1] * 10) }
        while marks.count > 1, marks[0] * 10 <= low { marks.removeFirst() }
        if marks.count == 1 { marks.append(marks[0] * 10) }
        return marks
    }

    private static func place(_ value: Double) -> String { BenchFormat.decimals(value, 1) }
}
