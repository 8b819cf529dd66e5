/// Runs many cases and tells how each one ended, for a command or a script.
public struct ConformanceVerification: Sendable {
    public let suite: ConformanceSuite
    /// The cases to run.
    public let cases: [ConformanceCase]

    /// What came of one case.
    public struct Result: Sendable {
        public let name: String
        /// `nil` when it failed.
        public let outcome: ConformanceOutcome?
        /// What the engine did wrong; empty when nothing.
        public let failure: String
        public let figures: ConformanceFigures
        public let duration: Duration

        /// One line, or more for a failure.
        public var text: String {
            let milliseconds =
                duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
            let time = "\(milliseconds / 1000).\(milliseconds / 100 % 10) s"
            var counts = figures.text
            if !counts.isEmpty { counts = ", " + counts }
            return switch outcome {
            case .passed: "passed   \(name) (\(time)\(counts))"
            case .skipped(let reason): "skipped  \(name): \(reason)"
            case nil: "FAILED   \(failure)\n         (\(time)\(counts))"
            }
        }
    }

    /// How all cases together ended.
    public struct Summary: Sendable {
        public var passed = 0
        public var skipped = 0
        public var failed = 0
        public var figures = ConformanceFigures()

        public var text: String {
            var text = "\(passed) cases passed, \(skipped) skipped, \(failed) failed"
            if !figures.text.isEmpty { text += "; \(figures.text)" }
            return text
        }
    }

    /// - Parameter only: runs the cases whose names contain this, without regard to case; all when it is empty.
    public init(_ suite: ConformanceSuite, only: String = "") {
        self.suite = suite
        let wanted = only.lowercased()
        cases = ConformanceSuite.cases.filter { wanted.isEmpty || $0.name.lowercased().contains(wanted) }
    }

    /// Runs the cases one after the other, on the caller's thread.
    /// - Parameter report: called after each.
    public func run(_ report: (Result) -> Void) -> Summary {
        var summary = Summary()
        for test in cases {
            var figures = ConformanceFigures()
            var outcome: ConformanceOutcome?
            var failure = ""
            let duration = ContinuousClock().measure {
                do throws(ConformanceFailure) {
                    outcome = try suite.run(test, &figures)
                } catch {
                    failure = error.message
                }
            }
            switch outcome {
            case .passed: summary.passed += 1
            case .skipped: summary.skipped += 1
            case nil: summary.failed += 1
            }
            summary.figures.add(figures)
            report(
                Result(name: test.name, outcome: outcome, failure: failure, figures: figures, duration: duration))
        }
        return summary
    }
}

extension ConformanceFigures {
    /// What isn't zero, in words.
    public var text: String {
        let parts = [
            (crashStates, "crash states"), (faults, "injected faults"), (operations, "random operations"),
            (damages, "damaged files"),
        ]
        return parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
}
