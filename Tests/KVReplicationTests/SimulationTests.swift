import KVProtocols
import KVSimulator
import Testing

/// Whole replica groups under faults. More seeds run outside of the ordinary tests.
@Suite struct SimulationTests {
    @Test(arguments: 0..<8) func seedsEndWellAndLinearizably(block: UInt64) {
        for seed in block * 10..<(block + 1) * 10 {
            let report = Simulation(seed: seed).run()
            #expect(report.violations.isEmpty, "\(report.description)")
            #expect(report.figures.undecided == 0, "seed \(seed) was not decided")
        }
    }

    @Test func theSameSeedIsTheSameRun() {
        for seed in [3, 65, 954] as [UInt64] {
            let first = Simulation(seed: seed).run()
            let second = Simulation(seed: seed).run()
            #expect(first.hash == second.hash)
            #expect(first.figures.events == second.figures.events)
        }
    }

    /// Each of these once showed a bug.
    @Test(
        arguments: [
            (65, "a leader suspected itself of lagging, for ever"),
            (44, "a damaged record in a set of two members could not be decided"),
            (155, "a tombstone whose purge was lost was never compared away under the same ballot"),
            (90, "one damaged member of two kept a move from ending"),
            (954, "a record damaged on its only member kept a move from ending"),
        ] as [(UInt64, String)]) func aBugOfOldStaysAway(seed: UInt64, bug: String)
    {
        let report = Simulation(seed: seed).run()
        #expect(report.violations.isEmpty, "\(bug)\n\(report.description)")
    }

    @Test(arguments: [(1, 1, 1), (3, 3, 1), (3, 1, 3), (5, 3, 3)]) func everyPolicyHolds(n: Int, w: Int, r: Int) throws
    {
        var options = Simulation.Options()
        options.policy = try ReplicationPolicy(replicas: n, write: w, read: r)
        for seed in 10_000..<10_004 as Range<UInt64> {
            let report = Simulation(seed: seed, options: options).run()
            #expect(report.violations.isEmpty, "\(report.description)")
        }
    }
}
