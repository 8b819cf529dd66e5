import KVBackends
import KVConformance
import KVProtocols
import Testing

@Suite struct ScriptTests {
    private func suite(_ fault: FaultyBackend.Fault) -> ConformanceSuite {
        ConformanceSuite(
            BackendFactory(type: "faulty", summary: "") { context throws(StorageError) in FaultyBackend(fault, context)
            })
    }

    private func fails(_ script: OperationScript, _ suite: ConformanceSuite) -> Bool {
        do throws(ConformanceFailure) {
            try suite.run(script)
            return false
        } catch {
            return true
        }
    }

    /// How many calls the shortest script may have that shows a fault.
    private static let bounds: [(FaultyBackend.Fault, Int)] = [
        (.keepsPurged, 3), (.losesTombstones, 2), (.ignoresWipe, 3), (.scansUnordered, 3), (.ignoresAfter, 2),
        (.ignoresPrefix, 2), (.neverLastPage, 1), (.forgetsExpiry, 2), (.dropsEmptyValues, 2), (.losesMetadata, 2),
    ]

    @Test("a script that fails is made short, and still fails", arguments: bounds)
    func shrinks(fault: FaultyBackend.Fault, bound: Int) throws {
        let suite = suite(fault)
        let seeds = (1...60 as ClosedRange<UInt64>).lazy.map { OperationScript.random(seed: $0, steps: 80) }
        let script = try #require(seeds.first { fails($0, suite) }, "no script shows \(fault)")
        let short = suite.shrink(script)
        #expect(fails(short, suite))
        #expect(short.count <= bound, "\(fault):\n\(short)")
        #expect(try OperationScript(short.description) == short)
        let good = ConformanceSuite(try BackendRegistry.factory(type: "memory"))
        #expect(throws: Never.self) { try good.run(short) }
    }

    @Test("the failure shows the short script, which can be run again")
    func explains() throws {
        let suite = suite(.losesTombstones)
        let test = try #require(ConformanceSuite.cases.first { $0.name.hasPrefix("random calls") })
        let failure = try #require(throws: ConformanceFailure.self) { try suite.run(test) }
        let lines = failure.message.split(separator: "\n")
        let script = try OperationScript(lines.dropFirst().joined(separator: "\n"))
        #expect(fails(script, suite))
        #expect(script.count <= 2)
    }

    @Test("every script is the same after writing and reading it", arguments: 1...30 as ClosedRange<UInt64>)
    func text(seed: UInt64) throws {
        let script = OperationScript.random(seed: seed, steps: 60, keyCount: 40)
        #expect(try OperationScript(script.description) == script)
        #expect(script == OperationScript.random(seed: seed, steps: 60, keyCount: 40))
    }

    @Test(
        "lines that make no sense are refused",
        arguments: [
            "put \"a\" 1.1.1 0 41", "apply\n  read \"a\"", "scan 1 limit 0", "read a", "scan 1 after", "wipe 3",
        ])
    func nonsense(text: String) {
        #expect(throws: ConformanceFailure.self) { _ = try OperationScript(text) }
    }
}
