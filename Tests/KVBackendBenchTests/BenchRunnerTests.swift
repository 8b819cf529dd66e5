import Foundation
import KVBackendBaselines
import KVBackendBench
import KVBackends
import KVConformance
import KVProtocols
import Synchronization
import Testing

@Suite struct BenchRunnerTests {
    static let durable = BackendRegistry.standard.filter { !$0.loadsLibrary }.map(\.type).filter { $0 != "memory" }

    static func contenders(_ type: String) throws -> [BenchContender] {
        let raw = Baselines.of(engine: type)
        return [BenchContender(engine: try BackendRegistry.factory(type: type), baseline: raw.first?.name)] + raw
    }

    static var tinyPlan: BenchPlan {
        var plan = BenchPlan()
        (plan.sizes, plan.writers, plan.rounds, plan.keys) = ([0, 100], [1, 8], 2, 200)
        (plan.seconds, plan.operations) = (10, 40)
        return plan
    }

    @Test("a tiny comparison measures every cell of an engine and its baselines", arguments: durable)
    func everyCell(type: String) throws {
        let folder = try TestFolder()
        let contenders = try BenchRunnerTests.contenders(type)
        #expect(contenders.map(\.name) == [type, "raw-\(type)", "checked-\(type)"])
        var labels = 0
        let report = try BenchRunner(BenchRunnerTests.tinyPlan, contenders, folder: folder.path).run { _ in labels += 1
        }
        #expect(report.cells.count == 2 * 2 * BenchMix.allCases.count)
        #expect(labels == report.cells.count * contenders.count * 2 + 1)
        for cell in report.cells {
            let rows = report.rows(of: cell)
            #expect(rows.map(\.contender) == contenders.map(\.name))
            for row in rows {
                #expect(row.rounds.count == 2)
                #expect(row.rounds.allSatisfy { $0.operations >= 40 }, "\(cell) \(row.contender)")
                #expect(row.latency.count > 0)
                #expect(row.rate.lowest > 0)
            }
            #expect(report.timeRatio(rows[0]) != nil)
            #expect(report.timeRatio(rows[1]) == nil)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [], "folders are removed")
    }

    @Test("an engine and its baseline read what the other wrote", arguments: durable)
    func sameLayout(type: String) throws {
        let contenders = try BenchRunnerTests.contenders(type)
        // A database of the raw calls has only the table that is measured, so another baseline reads it.
        let last = type == "sqlite" ? contenders[2] : contenders[0]
        for (writer, reader) in [(contenders[0], contenders[1]), (contenders[1], last)] {
            let folder = try TestFolder()
            let keys = BenchKeys(count: 100)
            var expected: [Record] = []
            let target = try writer.open(folder.path)
            let batch = keys.keys.indices.map { index -> StorageOperation in
                let value = [UInt8](repeating: UInt8(index), count: index * 13)
                let version = Version(ballot: Ballot(counter: 3, node: NodeID(2)), sequence: UInt64(index + 1))
                let record = Record(key: keys.keys[index], version: version, value: value, expiresAt: UInt64(index))
                expected.append(record)
                return .put(keys.partitions[index], keys.keys[index], record)
            }
            try target.apply(Array(batch[..<50]))
            for operation in batch[50...] { try target.apply([operation]) }
            try target.apply([.purge(keys.partitions[7], keys.keys[7])])
            try target.close()
            let other = try reader.open(folder.path)
            do {
                let handle = try other.reader()
                for index in keys.keys.indices {
                    let found = try handle.record(keys.partitions[index], keys.keys[index])
                    #expect(found == (index == 7 ? nil : expected[index]), "\(writer.name), \(reader.name): \(index)")
                }
            }
            try other.close()
        }
    }

    @Test("a contender that loses writes is found out")
    func lossy() throws {
        let folder = try TestFolder()
        let engine = try BackendRegistry.factory(type: "memory")
        let lossy = BenchContender(name: "lossy", baseline: nil, summary: "forgets every tenth batch") {
            path throws(StorageError) in
            try LossyTarget(engine.open(BackendContext(path: path, partitions: BenchKeys.partitions)))
        }
        var plan = BenchRunnerTests.tinyPlan
        plan.mixes = [.load, .overwrite]
        let runner = try BenchRunner(plan, [lossy], folder: folder.path)
        #expect(throws: StorageError.self) { try runner.run() }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test("a store that can't be made anew is closed once, and every folder removed")
    func opensOnce() throws {
        let folder = try TestFolder()
        let counts = TargetCounts()
        let once = BenchContender(name: "once", baseline: nil, summary: "opens once") { path throws(StorageError) in
            guard counts.opened.add(1, ordering: .relaxed).oldValue == 0 else {
                throw StorageError(.full, "there is no room")
            }
            return CountingTarget(try BenchRunnerTests.memory(path), counts)
        }
        #expect(try failure([once], folder)?.code == .full)
        #expect(counts.closed.load(ordering: .relaxed) == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test("a store that can't be opened leaves no folder")
    func neverOpens() throws {
        let folder = try TestFolder()
        let never = BenchContender(name: "never", baseline: nil, summary: "") { _ throws(StorageError) in
            throw StorageError(.full, "there is no room")
        }
        #expect(try failure([never], folder)?.code == .full)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test("every store is closed and every folder removed, although the first can't be closed")
    func failsToClose() throws {
        let folder = try TestFolder()
        let counts = [TargetCounts(), TargetCounts()]
        let contenders = ["first", "second"].enumerated().map { number, name in
            BenchContender(name: name, baseline: nil, summary: "") { path throws(StorageError) in
                counts[number].opened.add(1, ordering: .relaxed)
                return CountingTarget(
                    try BenchRunnerTests.memory(path), counts[number], failsAtClose: number == 0 ? 2 : nil)
            }
        }
        #expect(try failure(contenders, folder)?.code == .io)
        for count in counts { #expect(count.closed.load(ordering: .relaxed) == 2) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    private static func memory(_ path: String) throws(StorageError) -> any StorageBackend {
        try BackendRegistry.factory(type: "memory").open(
            BackendContext(path: path, partitions: BenchKeys.partitions))
    }

    /// What a comparison of one load ends with.
    private func failure(_ contenders: [BenchContender], _ folder: TestFolder) throws -> StorageError? {
        var plan = BenchRunnerTests.tinyPlan
        (plan.mixes, plan.sizes, plan.writers, plan.rounds) = ([.load], [10], [1], 1)
        let runner = try BenchRunner(plan, contenders, folder: folder.path)
        return #expect(throws: StorageError.self) { try runner.run() }
    }

    @Test("the baseline of the file engine needs few descriptors for a long batch")
    func descriptors() async {
        await #expect(processExitsWith: .success) {
            var limit = rlimit(rlim_cur: 128, rlim_max: 128)
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            let folder = try TestFolder()
            let target = try #require(Baselines.of(engine: "file").first).open(folder.path)
            let keys = BenchKeys(count: 300)
            try target.apply(
                keys.keys.indices.map { index in
                    let record = Record(key: keys.keys[index], version: .zero, value: [1])
                    return .put(keys.partitions[index], keys.keys[index], record)
                })
            try target.close()
        }
    }

    @Test("plans outside their limits are refused")
    func limits() throws {
        let contenders = try BenchRunnerTests.contenders("file")
        var plans = [BenchPlan](repeating: BenchPlan(), count: 6)
        plans[0].mixes = []
        plans[1].sizes = [-1]
        plans[2].writers = [0]
        plans[3].seconds = 0
        plans[4].rounds = 0
        plans[5].sizes = [16, 16]
        for plan in plans {
            #expect(throws: StorageError.self) { try BenchRunner(plan, contenders, folder: "/tmp") }
        }
        #expect(throws: StorageError.self) { try BenchRunner(BenchPlan(), contenders + contenders, folder: "/tmp") }
        #expect(throws: StorageError.self) {
            try BenchRunner(BenchPlan(), contenders, folder: "/nonexistent").run()
        }
    }
}

private final class TargetCounts: Sendable {
    let opened = Atomic<Int>(0)
    let closed = Atomic<Int>(0)
}

private final class CountingTarget: BenchTarget {
    private let backend: any StorageBackend
    private let counts: TargetCounts
    private let failsAtClose: Int?

    init(_ backend: any StorageBackend, _ counts: TargetCounts, failsAtClose: Int? = nil) {
        self.backend = backend
        self.counts = counts
        self.failsAtClose = failsAtClose
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) { try backend.apply(batch) }
    func reader() throws(StorageError) -> any BenchReader { LossyReader(backend) }
    func prepareScans() throws(StorageError) {}

    func close() throws(StorageError) {
        if counts.closed.add(1, ordering: .relaxed).newValue == failsAtClose {
            throw StorageError(.io, "it can't be closed")
        }
    }
}

private final class LossyTarget: BenchTarget {
    private let backend: any StorageBackend
    private let batches = Atomic<Int>(0)

    init(_ backend: any StorageBackend) { self.backend = backend }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        if batches.add(1, ordering: .relaxed).newValue % 10 != 0 { try backend.apply(batch) }
    }

    func reader() throws(StorageError) -> any BenchReader { LossyReader(backend) }
    func prepareScans() throws(StorageError) {}
    func close() throws(StorageError) { try backend.close() }
}

private final class LossyReader: BenchReader {
    private let backend: any StorageBackend

    init(_ backend: any StorageBackend) { self.backend = backend }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Int? { nil }
    func scan(_ request: ScanRequest) throws(StorageError) -> Int { 0 }
    func record(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try backend.read(partition, key)
    }
}

/// A folder that is removed with the object.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/kv-bench-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
