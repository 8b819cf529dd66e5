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
    var operations = 60
    /// Clients that ask at the same moment, up to; and the share of operations that are asked in company.
    var burst = 4
    var burstiness = 0.2
    /// Relative frequency of each kind of fault.
    var faults: [(Fault, Int)]
    /// Relative frequency of operations, in the order of `World.randomOperation`.
    var mix: [Int]

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
        settings.repairWindow = settings.syncWindow == 128 ? 512 : settings.syncWindow
        // Few are remembered in most worlds, so that walks are needed too.
        settings.recentChanges = walkPage == 64 ? 512 : walkPage == 8 ? 0 : 2 * walkPage
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
        faults = Self.faults(of: options.weather, random: &random)
        // get, put, delete, compare, if-absent, increment, expiring put, barrier
        mix = random.pick([
            [30, 25, 6, 15, 6, 12, 4, 2], [30, 10, 20, 10, 20, 5, 5, 0], [40, 20, 0, 40, 0, 0, 0, 0],
            [25, 15, 10, 10, 10, 10, 20, 0],
        ])
        adapt(to: options.weather, random: &random)
        // With a single copy of a record, a damaged one is lost; with no spare reader, its absence can't be proven.
        if policy.write < 2 || policy.replicas < 3 || policy.read >= policy.replicas {
            faults.removeAll { $0.0 == .damage }
        }
    }

    private static func faults(of weather: Weather, random: inout Random) -> [(Fault, Int)] {
        let kinds = weather == .classic ? Weather.ofOld : Fault.allCases.filter { $0 != .heal }
        var faults: [(Fault, Int)] = []
        for fault in kinds {
            if let weight = weather.weight(fault) {
                if weight > 0 { faults.append((fault, weight)) }
            } else {
                faults.append((fault, random.pick([0, 1, 1, 3, 8])))
            }
        }
        faults.append((.heal, 2))
        return faults
    }

    private mutating func adapt(to weather: Weather, random: inout Random) {
        switch weather {
        case .classic, .network: break
        case .disks:
            operations = 120
            sync = random.pick([1_000, 8_000, 100_000])
        case .swarm: mix[7] += random.pick([0, 4])
        case .clocks: mix = [30, 10, 4, 10, 6, 10, 30, 0]
        case .membership:
            faultInterval = random.pick([60_000, 200_000])
            if random.chance(0.5) { bury() }
        case .controller:
            // The controller counts in seconds: so must what happens.
            operations = 120
            operationInterval = random.pick([100_000, 300_000])
            faultInterval = random.pick([400_000, 2_000_000])
        case .contention:
            keys = Array(keys.prefix(2))
            mix = [30, 10, 10, 20, 10, 12, 0, 8]
            faultInterval = random.pick([300_000, 1_000_000])
            operations = 150
            (burst, burstiness) = (6, 0.3)
            operationInterval = random.pick([15_000, 40_000])
        case .burial:
            bury()
            keys = Array(keys.prefix(2))
            lateness = random.pick([0.02, 0.1])
            duplication = 0.3
            operations = 150
            operationInterval = random.pick([60_000, 100_000])
            faultInterval = random.pick([700_000, 1_500_000])
        case .busy:
            keys = (0..<64).map { Key(unchecked: Array("k\($0)".utf8)) }
            walkPage = 64
            settings = MachineSettings()
            mix = [50, 30, 5, 6, 2, 7, 0, 0]
            (burst, burstiness) = (64, 1)
            operations = 20_000
            operationInterval = 2_000
            faultInterval = 1_000_000
            (loss, duplication, lateness) = (0, 0, 0.000_1)
            (delay, jitter, sync) = (50, 500, 1_000)
        }
    }

    /// Values are written and deleted all the time.
    private mutating func bury() { mix = [30, 30, 30, 2, 6, 2, 0, 0] }
}
