import KVSimulator

/// Runs one seed and tells its story.
struct ReplayCommand {
    private var flags = WorldFlags()
    private let seed: UInt64

    init(_ arguments: inout Arguments) throws(UsageError) {
        var seed: UInt64?
        flags.options.storyLength = 400
        while let word = arguments.next() {
            if try flags.take(word, &arguments) { continue }
            if word == "--last" {
                flags.options.storyLength = try arguments.value(of: word) { Int($0).flatMap { $0 >= 0 ? $0 : nil } }
            } else if seed == nil, let number = UInt64(word) {
                seed = number
            } else {
                throw UsageError("replay does not know \(word)")
            }
        }
        guard let seed else { throw UsageError("replay needs a seed") }
        self.seed = seed
    }

    func run() -> Int32 {
        let report = Simulation(seed: seed, options: flags.options).run()
        for line in report.story { print(line) }
        print("")
        for call in report.history { print(call) }
        print("")
        for violation in report.violations { print("VIOLATION \(violation)") }
        print(
            "seed \(seed)\(flags.text): \(report.violations.isEmpty ? "all is well" : "FAILED"), hash "
                + String(report.hash, radix: 16))
        if report.violations.isEmpty { return 0 }
        return report.violations.contains(where: \.property.isSafety) ? 1 : 2
    }
}
