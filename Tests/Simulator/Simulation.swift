public import KVProtocols

/// A replica group of real machines in one thread: network, disks, clocks, controller and clients are simulated, and
/// all chance comes from one seed, so the same seed gives the same run, bit for bit, in every process.
///
/// A run has two parts: bad weather, in which everything fails that may fail; then calm, in which within a bounded time
/// a leader must be there, in sync, every member must hold the same, and operations must be answered.
public struct Simulation {
    public struct Options: Sendable {
        public var weather = Weather.swarm
        /// Client operations in bad weather; `nil`: as many as the weather asks for.
        public var operations: Int?
        /// `nil`: the seed chooses.
        public var policy: ReplicationPolicy?
        /// Keep the last so many events in words; 0 keeps none and is a lot faster.
        public var storyLength = 0
        /// Milliseconds of calm after which everything must be well.
        public var calmBound: UInt64 = 60_000
        public var faults = true
        public var mode = Mode.liveness

        public init() {}
    }

    public enum Mode: String, CaseIterable, Sendable {
        /// Stops with the bad weather: only what was answered is judged.
        case safety
        /// Goes on into calm, in which all must become well.
        case liveness
    }

    /// What a run found.
    public struct Report: Sendable {
        public var seed: UInt64
        /// Empty when all is well; otherwise what was broken.
        public var violations: [Violation] = []
        /// Of everything that happened.
        public var hash: UInt64 = 0
        public var figures = Figures()
        public var story: [String] = []
        public var history: [Call] = []

        /// What a failed test shows: what is wrong, how it came about.
        public var description: String {
            guard !violations.isEmpty else { return "seed \(seed): all is well" }
            return (["seed \(seed):"] + violations.map(\.description) + ["", "The last events:"] + story)
                .joined(separator: "\n")
        }
    }

    public let seed: UInt64
    public let options: Options

    public init(seed: UInt64, options: Options = Options()) {
        self.seed = seed
        self.options = options
    }

    /// Runs once; a failed run is run again with its story recorded.
    public func run() -> Report {
        let report = World(seed: seed, options: options).run()
        guard !report.violations.isEmpty, options.storyLength == 0 else { return report }
        var options = options
        options.storyLength = 400
        return World(seed: seed, options: options).run()
    }
}

/// How much happened.
public struct Figures: Sendable {
    public var events = 0
    /// Operations that were asked, and how they ended.
    public var operations = 0
    public var answered = 0
    public var unknown = 0
    public var refused = 0
    public var elections = 0
    public var purges = 0
    public var reconfigurations = 0
    /// Faults by kind, in the order of `Fault.allCases`.
    public var faults = [Int](repeating: 0, count: Fault.allCases.count)
    /// Keys whose history was too long to search.
    public var undecided = 0
    /// Microseconds of simulated time.
    public var simulated: UInt64 = 0
    /// Milliseconds of calm until everything was well.
    public var healing: UInt64 = 0

    public init() {}

    public mutating func add(_ other: Figures) {
        events += other.events
        operations += other.operations
        answered += other.answered
        unknown += other.unknown
        refused += other.refused
        elections += other.elections
        purges += other.purges
        reconfigurations += other.reconfigurations
        for index in faults.indices { faults[index] += other.faults[index] }
        undecided += other.undecided
        simulated += other.simulated
        healing = max(healing, other.healing)
    }
}
