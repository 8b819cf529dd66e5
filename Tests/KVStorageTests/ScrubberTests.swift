import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

@Suite struct ScrubberTests {
    let backend = FakeBackend()
    let reports = Reports()

    init() throws {
        for number in 0..<40 { try put("k\(number)", partition: number % 3) }
        for partition in 0..<3 { try storeDigest(of: partition) }
    }

    private func storeDigest(of partition: Int) throws {
        let id = PartitionID(UInt16(partition))
        let content = backend.state.withLock { $0.content.records[id] ?? [:] }
        try backend.apply([
            .metadata(.partition(id), StorageCheckpoint.digestName, DigestCodec.encode(digest(of: content)))
        ])
    }

    private func put(_ name: String, partition: Int, value: String? = "value") throws {
        let key = try key(name)
        try backend.apply([.put(PartitionID(UInt16(partition)), key, record(key, 1, value))])
    }

    private func damage(_ name: String) throws {
        let key = try key(name)
        backend.state.withLock { _ = $0.damaged.insert(key) }
    }

    private func scrubber(
        _ other: (any StorageBackend)? = nil, first: Int = 0, rate: Int = 1 << 20, pass: UInt64 = 0,
        isFlushing: @escaping @Sendable () -> Bool = { false }
    ) -> Scrubber {
        Scrubber(
            other ?? backend, partitions: 4, first: first, seed: StorageFixture.seed,
            limits: Scrubber.Limits(bytesPerSecond: rate, passMilliseconds: pass), isFlushing: isFlushing
        ) { [reports] in reports.append($0) }
    }

    @Test(arguments: 0..<4)
    func `damage in a record that nobody reads is found within one pass`(first: Int) throws {
        try damage("k7")
        try damage("k20")
        var scrubber = scrubber(first: first)
        let clock = ManualClock()
        clock.finishPass(&scrubber)
        #expect(reports.damaged == [try key("k20"), try key("k7")])
        #expect(reports.passes.map(\.damaged) == [2])
        #expect(reports.inconsistent.isEmpty, "what is damaged is not gone")
        #expect(scrubber.figures.records == 38)
        #expect(scrubber.figures.bytes == 38 * 5 + 105)
        clock.finishPass(&scrubber)
        #expect(reports.damaged.count == 4, "what was not repaired is found again")
        #expect(scrubber.figures.passes == 2)
    }

    @Test func `no more is read than the rate allows, records and bytes together`() throws {
        try put("large", partition: 3, value: String(repeating: "v", count: 300_000))
        let rate = 100_000
        var scrubber = scrubber(rate: rate)
        let clock = ManualClock()
        while scrubber.figures.passes < 2 {
            clock.advance(&scrubber)
            let cost = Int(scrubber.figures.records) * Scrubber.recordCost + Int(scrubber.figures.bytes)
            // One page goes ahead and is paid for afterwards.
            let ahead = 300_000 + 64 * Scrubber.recordCost
            #expect(cost <= Int(clock.now) * rate / 1000 + ahead)
        }
        // 82 records at 8 KiB, twice the large one, and partitions that are empty cost something too.
        #expect(clock.now >= UInt64((82 * Scrubber.recordCost + 600_000) * 1000 / rate) - 7_000)
    }

    @Test func `a pass begins only some time after the one before, however little there is to read`() throws {
        var scrubber = scrubber(rate: 1 << 30, pass: 60_000)
        let clock = ManualClock()
        clock.finishPass(&scrubber)
        #expect(clock.now < 10_000)
        let records = scrubber.figures.records
        #expect(scrubber.step(now: 59_999) == .wait(1))
        #expect(scrubber.figures.records == records)
        #expect(scrubber.step(now: 60_000) == .worked)
    }

    @Test func `what changes while a page is read is no damage`() throws {
        let partition = PartitionID(1)
        let key = try key("k1")
        let changes: [[StorageOperation]] = [
            [.put(partition, key, record(key, 2, "new"))], [.put(partition, key, record(key, 2, nil))],
            [.purge(partition, key)], [.wipe(partition)],
        ]
        for change in changes {
            let moving = MovingBackend(backend)
            moving.afterScan.withLock { hook in
                hook = { [backend] page in
                    // The page was torn: the entry looked damaged, and is another by now.
                    guard let index = page.entries.firstIndex(where: { $0.key == key }) else { return page }
                    var page = page
                    page.entries[index].record = nil
                    try? backend.apply(change)
                    return page
                }
            }
            var scrubber = scrubber(moving)
            ManualClock().finishPass(&scrubber)
            #expect(reports.damaged.isEmpty, "\(change)")
            #expect(scrubber.figures.passes == 1)
        }
    }

    @Test func `a page that can't be read is taken apart, and the rest is read on`() throws {
        try damage("k31")
        let bad = try key("k16")
        let moving = MovingBackend(backend)
        moving.failure.withLock { hook in
            hook = { keys, values in values && keys.contains(bad) ? StorageError(.io, "a bad sector") : nil }
        }
        var scrubber = scrubber(moving)
        ManualClock().finishPass(&scrubber)
        #expect(reports.damaged == [bad, try key("k31")])
        #expect(reports.unreadable.isEmpty)
        #expect(scrubber.figures.records == 38)
    }

    @Test func `a partition that can't be read to its end is reported, and the others are read`() throws {
        try damage("k31")
        let bad = try key("k16")
        let moving = MovingBackend(backend)
        moving.failure.withLock { hook in
            hook = { keys, _ in keys.contains(bad) ? StorageError(.damaged, "a bad page") : nil }
        }
        var scrubber = scrubber(moving)
        ManualClock().finishPass(&scrubber)
        #expect(reports.unreadable == [1])
        #expect(reports.damaged.isEmpty, "k31 lies behind the page")
        #expect(reports.passes.map(\.unreadable) == [1])
        #expect(scrubber.figures.records > 26)
    }

    @Test func `a partition that lost a record, or got an old one back, does not match its digest`() throws {
        var scrubber = scrubber()
        let clock = ManualClock()
        clock.finishPass(&scrubber)
        #expect(reports.inconsistent.isEmpty)
        let gone = try key("k5")
        let old = try key("k6")
        let older = Record(key: old, version: Version(ballot: .zero, sequence: 9), value: nil)
        backend.state.withLock { state in
            state.content.records[PartitionID(2)]?[gone] = nil
            state.content.records[PartitionID(0)]?[old] = older
        }
        clock.finishPass(&scrubber)
        #expect(reports.inconsistent == [0, 2])
        #expect(reports.damaged.isEmpty)
    }

    @Test func `nothing is compared while a flush may be amid its work, or when one came between`() throws {
        let gone = try key("k5")
        backend.state.withLock { $0.content.records[PartitionID(2)]?[gone] = nil }
        var scrubber = scrubber(isFlushing: { true })
        ManualClock().finishPass(&scrubber)
        #expect(reports.inconsistent.isEmpty)

        let moving = MovingBackend(backend)
        moving.afterScan.withLock { hook in
            hook = { [backend] page in
                try? backend.apply([
                    .metadata(.partition(PartitionID(2)), StorageCheckpoint.digestName, DigestCodec.encode(nil))
                ])
                return page
            }
        }
        scrubber = self.scrubber(moving)
        ManualClock().finishPass(&scrubber)
        #expect(reports.inconsistent.isEmpty)
    }

    @Test func `a partition's state that fails verification is reported`() throws {
        backend.state.withLock { _ = $0.damagedMetadata.insert(StorageCheckpoint.stateName) }
        var scrubber = scrubber()
        ManualClock().finishPass(&scrubber)
        #expect(reports.damagedStates == [0, 1, 2, 3])
        #expect(scrubber.figures.records == 40)
    }

    @Test(arguments: [StorageError.Code.closed, .poisoned])
    func `it ends with the backend`(code: StorageError.Code) throws {
        backend.state.withLock {
            $0.isClosed = code == .closed
            $0.isPoisoned = true
        }
        var scrubber = scrubber()
        #expect(scrubber.step(now: 0) == .ended)
        #expect(reports.passes.isEmpty && reports.damaged.isEmpty && reports.unreadable.isEmpty)
    }

    @Test func `the thread's loop waits for the rate, rests while paused, and ends when told to`() throws {
        let time = SharedTime()
        let thread = try ScrubThread(scrubber(rate: Scrubber.recordCost), driver: .caller) {
            time.now.load(ordering: .relaxed)
        }
        #expect(thread.step() == .worked)
        let first = thread.figures.records
        #expect(first == 1, "a page is what an eighth of a second pays for, but one record at least")
        #expect(thread.step() == .retryLater)
        time.now.store(60_000, ordering: .relaxed)
        thread.setPaused(true)
        #expect(thread.step() == .idle)
        #expect(thread.figures.records == first)
        thread.setPaused(false)
        #expect(thread.step() == .worked)
        #expect(thread.figures.records > first)
        thread.finish()
        #expect(thread.step() == .ended)
    }
}

/// Tells a scrubber the time, and passes it as fast as it is asked to.
final class ManualClock {
    private(set) var now: UInt64 = 0

    func advance(_ scrubber: inout Scrubber) {
        if case .wait(let milliseconds) = scrubber.step(now: now) { now += milliseconds }
    }

    func finishPass(_ scrubber: inout Scrubber) {
        let target = scrubber.figures.passes + 1
        var left = 100_000
        while scrubber.figures.passes < target, left > 0 {
            left -= 1
            advance(&scrubber)
        }
    }
}

final class SharedTime: Sendable {
    let now = Atomic<UInt64>(0)
}

/// What a scrub reported.
final class Reports: Sendable {
    private let events = Mutex<[StorageEvent]>([])

    func append(_ event: StorageEvent) { events.withLock { $0.append(event) } }

    private var all: [StorageEvent] { events.withLock { $0 } }

    /// In order of keys.
    var damaged: [Key] {
        all.compactMap { if case .damaged(_, let key, _) = $0 { key } else { nil } }.sorted()
    }
    var unreadable: [UInt16] {
        all.compactMap { if case .unreadable(let partition, _) = $0 { partition.rawValue } else { nil } }
    }
    var inconsistent: [UInt16] {
        all.compactMap { if case .inconsistent(let partition) = $0 { partition.rawValue } else { nil } }
    }
    var damagedStates: [UInt16] {
        all.compactMap { if case .damagedState(let partition, _) = $0 { partition.rawValue } else { nil } }
    }
    var passes: [ScrubPass] {
        all.compactMap { if case .scrubbed(let pass) = $0 { pass } else { nil } }
    }
}

/// Another backend, whose pages change or fail on their way to the reader.
final class MovingBackend: StorageBackend {
    let other: FakeBackend
    let afterScan = Mutex<(@Sendable (ScanPage) -> ScanPage)?>(nil)
    /// Is given the keys that are touched and whether their values are, and says what fails.
    let failure = Mutex<(@Sendable ([Key], Bool) -> StorageError?)?>(nil)

    init(_ other: FakeBackend) { self.other = other }

    var capabilities: BackendCapabilities { other.capabilities }

    private func check(_ keys: [Key], values: Bool) throws(StorageError) {
        if let error = failure.withLock({ $0?(keys, values) }) { throw error }
    }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try check([key], values: true)
        return try other.read(partition, key)
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        let page = try other.scan(request)
        try check(page.entries.map(\.key), values: request.values)
        return afterScan.withLock { $0 }?(page) ?? page
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) { try other.apply(batch) }
    func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try other.metadata(scope, name)
    }
    func statistics() throws(StorageError) -> BackendStatistics { try other.statistics() }
    func close() throws(StorageError) { try other.close() }
    func destroy() throws(StorageError) { try other.destroy() }
}
