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
        (.opensWithoutSync, "what a killed process left"), (.neverSyncs, "after a power cut"),
        (.locksReadersOut, "reads go on while"), (.refusesReadersMeanwhile, "reads go on while"),
        (.commitsBeforeLog, "after a power cut"), (.ignoresFull, "no space for a single call"),
        (.ignoresFailedSync, "after a failed sync"), (.forgetsPoison, "after a failed sync"),
        (.ignoresFailedDirectWrite, "after a failed sync"), (.ignoresFailedFlaggedWrite, "after a failed sync"),
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

    @Test("a read that throws is told from one that waits")
    func reader() throws {
        let suite = try suite(.refusesReadersMeanwhile)
        let test = try first("reads go on while")
        let failure = #expect(throws: ConformanceFailure.self) { try suite.run(test) }
        #expect(failure?.message.contains("a batch is being written") == true, "\(String(describing: failure))")
    }

    @Test("a case that could judge nothing says so instead of passing")
    func nothingToJudge() throws {
        let outcome = try suite(.neverSyncs).run(first("what a killed process left"))
        #expect(outcome == .skipped("no sync of the engine could be interrupted"))
    }

    @Test("a worker that never begins is ended, and what it lacks is said")
    func silentWorker() throws {
        var worker = ConformanceWorker(executable: "/bin/sh", arguments: ["-c", "exec cat"])
        worker.secondsToBegin = 1
        let suite = ConformanceSuite(BrokenEngine.factory(.none), worker: worker)
        for name in ["after a power cut", "a store with few descriptors"] {
            let test = try first(name)
            let failure = #expect(throws: ConformanceFailure.self) { try suite.run(test) }
            #expect(failure?.message.contains("ConformanceWorker.runIfAsked") == true)
        }
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
