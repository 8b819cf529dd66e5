import KVProtocols
import KVSimulator
import Testing

/// Whole replica groups under faults. More seeds run outside of the ordinary tests: `make sim`.
@Suite struct SimulationTests {
    private func run(_ seeds: Range<UInt64>, _ weather: Weather, operations: Int? = nil) -> [Simulation.Report] {
        var options = Simulation.Options()
        options.weather = weather
        options.operations = operations
        return seeds.map { Simulation(seed: $0, options: options).run() }
    }

    @Test(arguments: 0..<4) func seedsEndWellAndLinearizably(block: UInt64) {
        for report in run(block * 8..<(block + 1) * 8, .swarm) {
            #expect(report.violations.isEmpty, "\(report.description)")
        }
    }

    @Test(arguments: Weather.allCases.filter { $0 != .busy && $0 != .swarm })
    func everyKindOfWeatherEndsWell(weather: Weather) {
        for report in run(100..<104, weather) { #expect(report.violations.isEmpty, "\(report.description)") }
    }

    @Test func aBusyGroupKeepsItsVersionsInOrder() {
        for report in run(1..<2, .busy, operations: 40) {
            #expect(report.violations.isEmpty, "\(report.description)")
            #expect(report.figures.answered > 1_000)
        }
    }

    @Test func safetyModeEndsWithTheBadWeather() {
        var options = Simulation.Options()
        options.mode = .safety
        let report = Simulation(seed: 7, options: options).run()
        #expect(report.violations.isEmpty, "\(report.description)")
        #expect(report.figures.healing == 0)
    }

    @Test func theSameSeedIsTheSameRun() {
        for weather in [Weather.swarm, .controller, .membership] {
            let first = run(3..<5, weather)
            let second = run(3..<5, weather)
            #expect(first.map(\.hash) == second.map(\.hash))
            #expect(first.map(\.figures.events) == second.map(\.figures.events))
        }
    }

    @Test func theStoryChangesNothing() {
        var options = Simulation.Options()
        let silent = Simulation(seed: 5, options: options).run()
        options.storyLength = 100
        let told = Simulation(seed: 5, options: options).run()
        #expect(silent.hash == told.hash)
        #expect(silent.story.isEmpty && !told.story.isEmpty)
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
        for report in run(seed..<seed + 1, .classic) {
            #expect(report.violations.isEmpty, "\(bug)\n\(report.description)")
        }
    }

    /// What it showed had been deleted, and the tombstone purged, before the listing's barrier was passed.
    @Test func aListingOfWhatWasPurgedSinceIsNotAccused() {
        for report in run(50_032_208..<50_032_209, .disks) {
            #expect(report.violations.isEmpty, "\(report.description)")
        }
    }

    /// A member that remembered no changes for walks stored an old record, seconds late, in place of a damaged newer one.
    @Test func aLateRecordDoesNotReplaceADamagedNewerOne() {
        for report in run(100_023_768..<100_023_769, .disks) {
            #expect(report.violations.isEmpty, "\(report.description)")
        }
    }

    @Test(arguments: [(1, 1, 1), (3, 3, 1), (3, 1, 3), (5, 3, 3)]) func everyPolicyHolds(n: Int, w: Int, r: Int) throws
    {
        var options = Simulation.Options()
        options.policy = try ReplicationPolicy(replicas: n, write: w, read: r)
        for seed in 10_000..<10_003 as Range<UInt64> {
            let report = Simulation(seed: seed, options: options).run()
            #expect(report.violations.isEmpty, "\(report.description)")
        }
    }
}
