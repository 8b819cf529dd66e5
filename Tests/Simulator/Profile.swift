import KVProtocols
import KVReplication

/// What kind of world a seed makes: sizes, policy, and how bad the weather is.
struct Profile {
    var policy: ReplicationPolicy
    var nodes: [NodeID]
    var keys: [Key]
    var settings = MachineSettings()
    var walkPage: Int
    var loss: Double
    var duplication: Double
    /// Share of messages and copies that arrive seconds late.
    var lateness: Double
    /// Microseconds.
    var delay: UInt64
    var jitter: UInt64
    var sync: UInt64
    /// Microseconds between two client operations, and between two faults; on average.
    var operationInterval: UInt64
    var faultInterval: UInt64
    /// Relative frequency of each kind of fault.
    var faults: [(Fault, Int)]
    var mix: [Int]

    enum Fault: CaseIterable {
        case crash, pause, isolate, oneWay, split, heal, slowDisk, reconfigure, wrongHint, damage, resign, clockJump
    }

    init(random: inout Random, options: Simulation.Options) {
        let policies = [
            (3, 2, 2), (3, 2, 2), (3, 2, 2), (3, 2, 2), (1, 1, 1), (5, 3, 3), (3, 3, 1), (3, 1, 3), (2, 2, 1),
        ]
        let (n, w, r) = random.pick(policies)
        policy = options.policy ?? (try? ReplicationPolicy(replicas: n, write: w, read: r)) ?? .standard
        let count = policy.replicas + random.pick([0, 1, 1, 2])
        nodes = (1...count).map { NodeID(UInt32($0)) }
        let keyCount = random.pick([1, 1, 2, 3, 3, 6, 24])
        keys = (0..<keyCount).map { Key(unchecked: Array("k\($0)".utf8)) }
        walkPage = random.pick([1, 3, 8, 64])
        settings.syncWindow = random.pick([1, 3, 128])
        settings.maximumTail = random.pick([2, 8, 1_024])
        settings.maximumWaiting = random.pick([6, 1_000, 1_000])
        loss = random.pick([0, 0, 0.01, 0.05, 0.2])
        duplication = random.pick([0, 0, 0.05, 0.3])
        lateness = random.pick([0, 0, 0.002, 0.02])
        delay = random.pick([50, 200, 2_000])
        jitter = random.pick([20, 500, 5_000, 60_000])
        sync = random.pick([100, 1_000, 8_000])
        operationInterval = random.pick([20_000, 60_000, 150_000])
        faultInterval = random.pick([100_000, 400_000, 1_500_000])
        faults = Fault.allCases.map { ($0, random.pick([0, 1, 1, 3, 8])) }
        faults.append((.heal, 2))
        // get, put, delete, compare, if-absent, increment, expiring put, barrier
        mix = random.pick([
            [30, 25, 6, 15, 6, 12, 4, 2], [30, 10, 20, 10, 20, 5, 5, 0], [40, 20, 0, 40, 0, 0, 0, 0],
            [25, 15, 10, 10, 10, 10, 20, 0],
        ])
        // With a single copy of a record, a damaged one is lost; with no spare reader, its absence can't be proven.
        if policy.write < 2 || policy.replicas < 3 || policy.read >= policy.replicas {
            faults.removeAll { $0.0 == .damage }
        }
    }
}

/// The one source of chance of a run.
struct Random {
    private var generator: SplitMix64

    init(seed: UInt64) { generator = SplitMix64(seed: seed) }

    mutating func next() -> UInt64 { generator.next() }
    /// From 0 up to, not including, `bound`.
    mutating func below(_ bound: UInt64) -> UInt64 { bound == 0 ? 0 : generator.next() % bound }
    mutating func below(_ bound: Int) -> Int { Int(below(UInt64(max(0, bound)))) }
    mutating func chance(_ probability: Double) -> Bool {
        Double(generator.next() >> 11) < probability * 9_007_199_254_740_992
    }
    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
    mutating func pick(weights: [Int]) -> Int {
        var left = below(weights.reduce(0, +))
        for (index, weight) in weights.enumerated() {
            if left < weight { return index }
            left -= weight
        }
        return 0
    }
    /// Around `mean`: half of it to one and a half.
    mutating func around(_ mean: UInt64) -> UInt64 { mean / 2 + below(mean + 1) }
    mutating func shuffled<T>(_ items: [T]) -> [T] {
        var items = items
        for index in items.indices.dropFirst().reversed() { items.swapAt(index, below(index + 1)) }
        return items
    }
}
