import Foundation
import KVSimulator

/// Runs a range of seeds on several threads; reports failed seeds at once and figures at the end.
struct RunCommand {
    private var flags = WorldFlags()
    private var seeds: Range<UInt64> = 0..<0
    private var jobs = 1
    private var maximumFailures = 1

    init(_ arguments: inout Arguments) throws(UsageError) {
        while let flag = arguments.next() {
            if try flags.take(flag, &arguments) { continue }
            switch flag {
            case "--seeds": seeds = try arguments.value(of: flag, Self.range)
            case "--jobs": jobs = try arguments.value(of: flag) { Int($0).flatMap { 1...256 ~= $0 ? $0 : nil } }
            case "--failures": maximumFailures = try arguments.value(of: flag) { Int($0).flatMap { $0 > 0 ? $0 : nil } }
            default: throw UsageError("run does not know \(flag)")
            }
        }
        guard !seeds.isEmpty else { throw UsageError("run needs --seeds A..<B") }
    }

    /// As Swift writes ranges: `0..<100`, or `0...99`, which no shell takes for a redirection.
    private static func range(_ text: String) -> Range<UInt64>? {
        for (dots, isClosed) in [("..<", false), ("...", true)] {
            guard let place = text.firstRange(of: dots) else { continue }
            guard let first = UInt64(text[..<place.lowerBound]), let last = UInt64(text[place.upperBound...]),
                last < .max, first < last + (isClosed ? 1 : 0)
            else { return nil }
            return first..<last + (isClosed ? 1 : 0)
        }
        return nil
    }

    func run() async -> Int32 {
        let began = ContinuousClock.now
        var summary = Summary()
        let options = flags.options
        await withTaskGroup(of: Simulation.Report.self) { group in
            var left = seeds.makeIterator()
            func begin() {
                guard summary.failed < maximumFailures, let seed = left.next() else { return }
                group.addTask { Simulation(seed: seed, options: options).run() }
            }
            for _ in 0..<jobs { begin() }
            for await report in group {
                summary.add(report)
                if !report.violations.isEmpty { tell(report) }
                begin()
            }
        }
        summary.print(elapsed: ContinuousClock.now - began, jobs: jobs, profile: options.weather)
        return summary.exitCode
    }

    private func tell(_ report: Simulation.Report) {
        print("seed \(report.seed) FAILED")
        for violation in report.violations { print("  \(violation)") }
        print("  to see how: kv-sim replay \(report.seed)\(flags.text)")
        fflush(nil)
    }
}

/// What many runs came to.
private struct Summary {
    private var figures = Figures()
    private var seeds = 0
    private(set) var failed = 0
    private var isUnsafe = false
    /// Of all runs, whatever their order.
    private var hash: UInt64 = 0

    mutating func add(_ report: Simulation.Report) {
        seeds += 1
        figures.add(report.figures)
        hash &+= (report.hash ^ report.seed) &* 0x9E37_79B9_7F4A_7C15
        if !report.violations.isEmpty { failed += 1 }
        if report.violations.contains(where: \.property.isSafety) { isUnsafe = true }
    }

    var exitCode: Int32 { failed == 0 ? 0 : isUnsafe ? 1 : 2 }

    func print(elapsed: Duration, jobs: Int, profile: Weather) {
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        let simulated = Double(figures.simulated) / 1e6
        let faults = zip(Fault.allCases, figures.faults).filter { $0.1 > 0 }.map { "\($0.rawValue) \($1)" }
        let rate = Int(Double(figures.operations) / max(seconds, 1e-9) / Double(jobs))
        Swift.print(
            """
            profile     \(profile.rawValue)
            seeds       \(seeds), of which \(failed) failed
            operations  \(figures.operations): \(figures.answered) answered, \(figures.refused) refused, \
            \(figures.unknown) unknown
            events      \(figures.events)
            elections   \(figures.elections)
            moves       \(figures.reconfigurations) configurations published, \(figures.purges) tombstones purged
            faults      \(figures.faults.reduce(0, +)): \(faults.joined(separator: ", "))
            undecided   \(figures.undecided) keys whose search was given up
            healing     at most \(figures.healing) ms of calm
            time        \(Int(simulated)) s simulated in \(String(format: "%.1f", seconds)) s: \
            \(rate) operations/s and \(Int(Double(figures.events) / max(seconds, 1e-9) / Double(jobs))) events/s per core
            hash        \(String(hash, radix: 16))
            """)
    }
}
