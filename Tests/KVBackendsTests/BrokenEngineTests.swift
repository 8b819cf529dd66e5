import KVBrokenEngine
import KVConformance
import KVProtocols
import Testing

/// Whether the suite notices engines that break their word where no ordinary test looks.
@Suite struct BrokenEngineTests {
    private func suite(_ fault: BrokenEngine.Fault) throws -> ConformanceSuite {
        let worker = try #require(ConformanceWorker.forTests, "the worker was not built")
        return ConformanceSuite(BrokenEngine.factory(fault), worker: worker)
    }

    private func first(_ start: String) throws -> ConformanceCase {
        try #require(ConformanceSuite.cases.first { $0.name.hasPrefix(start) })
    }

    /// The case that is there for each fault.
    private static let cases: [(BrokenEngine.Fault, String)] = [
        (.acknowledgesBeforeSync, "after a power cut"), (.renamesWithoutFolderSync, "after a power cut"),
        (.opensWithoutSync, "what a killed process left"), (.locksReadersOut, "reads go on while"),
        (.commitsBeforeLog, "after a power cut"), (.ignoresFull, "no space for a single call"),
        (.ignoresFailedSync, "after a failed sync"), (.forgetsPoison, "after a failed sync"),
        (.servesWithoutChecksum, "a record damaged on the disk"), (.servesWithoutChecksum, "two stored values"),
        (.servesWithoutChecksum, "metadata damaged"), (.inventsOnFailedRead, "a read that fails"),
        (.diesWithoutDescriptor, "too few descriptors"), (.diesWithoutDescriptor, "a store with few descriptors"),
        (.losesOldRecords, "when any file was cut off"),
    ]

    @Test("the engine without a fault passes every case", arguments: ConformanceSuite.cases)
    func sound(test: ConformanceCase) throws {
        let outcome = try suite(.none).run(test)
        if test.name.hasPrefix("a file that can't be removed") {
            #expect(outcome == .skipped("the engine makes no call that this fault could strike"))
        } else if test.need != .time {
            #expect(outcome == .passed)
        }
    }

    @Test("each fault is caught by the case that is there for it", arguments: cases)
    func broken(fault: BrokenEngine.Fault, name: String) throws {
        let suite = try suite(fault)
        let test = try first(name)
        let failure = #expect(throws: ConformanceFailure.self) { try suite.run(test) }
        #expect(failure?.message.contains(test.name) == true)
    }

    @Test("every fault has a case")
    func complete() {
        let covered = Set(BrokenEngineTests.cases.map(\.0))
        #expect(covered.union([.none]) == Set(BrokenEngine.Fault.allCases))
    }

    @Test("without a worker its cases are skipped with a reason")
    func noWorker() throws {
        let outcome = try ConformanceSuite(BrokenEngine.factory(.none)).run(first("after a power cut"))
        guard case .skipped(let reason) = outcome else {
            Issue.record("it was not skipped")
            return
        }
        #expect(reason.contains("worker"))
    }
}
