/// How far long work is: a line on standard error that is drawn anew, where a person reads it, and nothing otherwise.
/// For one thread.
final class ProgressBar {
    private static let width = 30
    /// Often enough for an eye.
    private static let interval = Duration.milliseconds(100)

    private let isShown = Terminal.Stream.error.isTerminal
    private var isDrawn = false
    private var last: ContinuousClock.Instant?
    private let start = ContinuousClock.now
    private var stage = ""

    /// Cheap enough for each step.
    /// - Parameter total: 0 when it isn't known.
    func show(_ stage: String, _ done: UInt64, of total: UInt64) {
        guard isShown else { return }
        let now = ContinuousClock.now
        if let last, now - last < ProgressBar.interval, stage == self.stage { return }
        last = now
        self.stage = stage
        isDrawn = true
        Terminal.write(
            Array("\r\u{1B}[K\(ProgressBar.line(stage, done, of: total, after: now - start))".utf8), to: .error)
    }

    /// Leaves no trace of the line.
    func end() {
        guard isDrawn else { return }
        isDrawn = false
        Terminal.write(Array("\r\u{1B}[K".utf8), to: .error)
    }

    static func line(_ stage: String, _ done: UInt64, of total: UInt64, after time: Duration) -> String {
        let seconds = Double(time.milliseconds) / 1_000
        let rate = seconds > 0.2 ? "  \(UInt64(Double(done) / seconds))/s" : ""
        guard total > 0 else { return "\(stage) \(done)\(rate)" }
        let share = min(1, Double(done) / Double(total))
        let filled = Int(share * Double(width))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        return "\(stage) [\(bar)] \(Int(share * 100)) %  \(done) of \(total)\(rate)"
    }
}
