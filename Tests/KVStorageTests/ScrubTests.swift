import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// The scrub as a part of a node's storage.
@Suite(.timeLimit(.minutes(4))) struct ScrubTests {
    let place: TemporaryFolder
    let partition = PartitionID(1)

    init() throws { place = try TemporaryFolder() }

    private var settings: NodeStorage.Settings {
        var settings = StorageFixture.small
        settings.scrubBytesPerSecond = 1 << 30
        settings.scrubPassMilliseconds = 0
        return settings
    }

    /// Takes in events until one is what is waited for.
    private func next<Result>(_ fixture: StorageFixture, _ choose: (StorageEvent) -> Result?) -> Result {
        while true {
            let events = fixture.events.wait { events -> [StorageEvent]? in
                defer { events.removeAll() }
                return events.isEmpty ? nil : events
            }
            for event in events { fixture.storage.handle(event) }
            for event in events {
                if let result = choose(event) { return result }
            }
        }
    }

    @Test func `a damaged record is reported, and the statistics tell`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend, settings: settings)
        for number in 0..<50 { try fixture.storage.write(partition, try key("k\(number)"), 1, "v") }
        fixture.flush()
        let bad = try key("k31")
        backend.state.withLock { _ = $0.damaged.insert(bad) }
        let found = next(fixture) { event -> Key? in
            if case .damaged(_, let key, let error) = event, error.code == .damaged { key } else { nil }
        }
        #expect(found == bad)
        // One that began after the flush: it meets all the others.
        let pass = next(fixture) { if case .scrubbed(let pass) = $0, pass.records == 49 { pass } else { nil } }
        #expect(pass.damaged == 1)
        #expect(try fixture.storage.statistics().scrub.partitions == StorageFixture.partitions)
        try fixture.storage.stop()
        let figures = try #require(fixture.storage.scrub?.figures)
        #expect(figures.damaged >= 1 && figures.passes >= 1 && figures.records >= 49)
    }

    @Test(arguments: [true, false])
    func `nothing is reported while everything changes, is purged and wiped`(atomic: Bool) throws {
        let fixture = try StorageFixture(place, backend: FakeBackend(atomic: atomic), settings: settings)
        let storage = fixture.storage
        var randomness = Randomness(7)
        var passes = 0
        var turn: UInt64 = 0
        while passes < 20 || turn < 2_000, storage.failure == nil {
            turn += 1
            let key = try key("k\(Int.random(in: 0..<100, using: &randomness))")
            switch Int.random(in: 0..<100, using: &randomness) {
            case 0: storage.wipe(partition)
            case 1..<20:
                if let old = try storage.version(partition, key) {
                    storage.purge(partition, key, replacing: old)
                }
            case 20..<40: try storage.write(partition, key, turn, nil)
            default: try storage.write(partition, key, turn, "value \(turn)")
            }
            storage.commit()
            storage.tick(nowMilliseconds: turn * 100)
            // A disk that is slow today must not be given more than it can take: what is not durable is not flushed, and
            // the scrub waits for flushes.
            let isAhead = storage.appended > storage.durable + 200
            let events = fixture.events.wait { events -> [StorageEvent]? in
                defer { events.removeAll() }
                return events.isEmpty && isAhead ? nil : events
            }
            for event in events {
                storage.handle(event)
                switch event {
                case .scrubbed(let pass):
                    passes += 1
                    #expect(pass.damaged == 0 && pass.unreadable == 0)
                case .damaged, .unreadable, .inconsistent, .failed: Issue.record("\(event)")
                default: break
                }
            }
        }
        try storage.stop()
    }

    @Test func `while the overlay is full or the disk is, nothing is read`() throws {
        var settings = settings
        settings.overlayLimitBytes = 2_000
        let backend = FakeBackend()
        let folder = try DataFolder(path: place.path, backendType: "fake", disk: SystemDisk(), newIdentity: 5)
        let storage = try NodeStorage(
            folder: folder, backend: backend, partitions: 4, settings: settings, driver: .caller
        ) { _ in }
        let scrub = try #require(storage.scrub)
        storage.tick(nowMilliseconds: 1)
        #expect(scrub.step() != .idle)
        for number in 0..<50 { try storage.write(partition, try key("k\(number)"), 1, "value") }
        #expect(storage.isOverLimit)
        storage.tick(nowMilliseconds: 2)
        #expect(scrub.step() == .idle)
        storage.commit()
        storage.journal.runWhileBusy()
        storage.handle(.durable(50))
        storage.flusher.runWhileBusy()
        storage.handle(.flushed(50))
        storage.tick(nowMilliseconds: 3)
        #expect(scrub.step() != .idle)
        storage.handle(.flushFailed(StorageError(.full, "full")))
        storage.tick(nowMilliseconds: 4)
        #expect(scrub.step() == .idle)
        storage.abandon()
        #expect(scrub.step() == .ended)
    }

    @Test func `a damaged state is written anew, and a lost record shows in the digest once that is doubted`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend, settings: settings)
        let storage = fixture.storage
        for number in 0..<5 { try storage.write(partition, try key("k\(number)"), 1, "v") }
        let state = PartitionState(
            configuration: Configuration(initial: [NodeID(1)]), promised: Ballot(counter: 3, node: NodeID(1)),
            purgeEpoch: 0)
        storage.save(partition, state)
        fixture.flush()
        let before = storage.digest(of: partition)
        let gone = try key("k2")
        backend.state.withLock { content in
            content.content.records[partition]?[gone] = nil
            content.damagedMetadata.insert(StorageCheckpoint.stateName)
            content.batches = []
        }
        var isStateReported = false
        var isLossReported = false
        while !isStateReported || !isLossReported {
            next(fixture) { event -> Void? in
                switch event {
                case .damagedState(partition, _): isStateReported = true
                case .inconsistent(partition): isLossReported = true
                default: return nil
                }
                return ()
            }
        }
        #expect(storage.digest(of: partition) == before)
        storage.doubtDigest(of: partition)
        #expect(storage.digest(of: partition) == digest(of: try storage.everything(partition)))
        fixture.flush()
        let repeated = StorageOperation.metadata(
            .partition(partition), StorageCheckpoint.stateName, PartitionStateCodec.encode(state))
        #expect(backend.state.withLock { $0.batches.contains { $0.contains(repeated) } })
        try storage.stop()
    }

    @Test func `after many damaged records were replaced the digest is right again, also the stored one`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        for number in 0..<20 { try storage.write(partition, try key("k\(number)"), 5, "v") }
        fixture.flush()
        let keys = try (0..<10).map { try key("k\($0)") }
        backend.state.withLock { $0.damaged.formUnion(keys) }
        for key in keys {
            storage.put(partition, key, record(key, 6, "v"), replacing: nil)
            storage.doubtDigest(of: partition)
        }
        // The flush stores the right one although nobody asked for it.
        fixture.flush()
        fixture.crash()
        let again = try StorageFixture(place, backend: backend.reopened())
        #expect(again.storage.digest(of: partition) == digest(of: try again.storage.everything(partition)))
        try again.storage.stop()
    }
}
