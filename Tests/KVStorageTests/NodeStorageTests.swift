import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

@Suite(.timeLimit(.minutes(4))) struct NodeStorageTests {
    let place: TemporaryFolder
    let partition = PartitionID(1)

    init() throws { place = try TemporaryFolder() }

    @Test func `what is staged is read at once and durable after a commit`() throws {
        let fixture = try StorageFixture(place, backend: FakeBackend())
        let storage = fixture.storage
        try storage.write(partition, try key("a"), 1, "one")
        #expect(try storage.read(partition, try key("a"))?.value == Array("one".utf8))
        #expect(storage.appended == 1)
        #expect(storage.durable == 0)
        fixture.sync()
        #expect(storage.durable == 1)
        try storage.stop()
    }

    @Test func `a clean stop leaves everything in the backend and the journal empty`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let state = PartitionState(
            configuration: Configuration(initial: [NodeID(1), NodeID(2)]),
            promised: Ballot(counter: 9, node: NodeID(2)), purgeEpoch: 3)
        for number in 0..<50 { try fixture.storage.write(partition, try key("k\(number)"), 1, "v") }
        fixture.storage.save(partition, state)
        fixture.storage.saveNode("identity", [1, 2, 3])
        try fixture.storage.stop()
        #expect(backend.state.withLock { $0.content.records[partition]?.count } == 50)

        let again = try StorageFixture(place, backend: backend.reopened())
        #expect(again.storage.view.active.isEmpty)
        #expect(again.storage.flusher.flushes == 0)
        #expect(again.storage.appended == 52)
        #expect(again.storage.durable == 52)
        #expect(again.storage.state(of: partition) == state)
        #expect(try again.storage.node("identity") == [1, 2, 3])
        #expect(again.storage.digest(of: partition) == digest(of: try again.storage.everything(partition)))
        try again.storage.stop()
    }

    @Test func `positions only grow over crashes and clean stops`() throws {
        var backend = FakeBackend()
        var last: UInt64 = 0
        for round in 0..<6 {
            let fixture = try StorageFixture(place, backend: backend)
            #expect(fixture.storage.appended >= last)
            try fixture.storage.write(partition, try key("k"), UInt64(round + 1), "v")
            fixture.sync()
            if round == 3 { fixture.flush() }
            #expect(fixture.storage.appended > last)
            last = fixture.storage.durable
            if round % 2 == 0 { fixture.crash() } else { try fixture.storage.stop() }
            backend = backend.reopened()
        }
    }

    @Test func `scans merge both generations with the backend`() throws {
        let backend = FakeBackend(pageLimit: 3)
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        var expected: [Key: Record] = [:]
        var randomness = Randomness(5)
        func change(_ count: Int, _ counter: UInt64) throws {
            for _ in 0..<count {
                let key = try key("k\(Int.random(in: 0..<40, using: &randomness))")
                if let old = try storage.version(partition, key), Int.random(in: 0..<3, using: &randomness) == 0 {
                    storage.purge(partition, key, replacing: old)
                    expected[key] = nil
                } else {
                    let value = Bool.random(using: &randomness) ? "v\(counter)" : nil
                    try storage.write(partition, key, counter, value)
                    expected[key] = record(key, counter, value)
                }
            }
        }
        func check() throws {
            for limit in [1, 2, 7, 100] {
                #expect(try storage.everything(partition, limit: limit) == expected)
            }
            let page = try storage.scan(
                ScanRequest(
                    partition: partition, after: try key("k2"), prefix: Array("k2".utf8), limit: 3, values: false))
            let keys = expected.keys.filter { $0.hasPrefix(Array("k2".utf8)) && $0.bytes.count > 2 }.sorted().prefix(3)
            #expect(page.entries.map(\.key).starts(with: keys) || page.entries.count < keys.count)
            #expect(page.entries.allSatisfy { $0.record?.value?.isEmpty ?? true })
            #expect(storage.digest(of: partition) == digest(of: expected))
        }
        try change(60, 1)
        fixture.flush()
        try check()
        backend.isHeld.update { $0 = true }
        try change(40, 2)
        storage.tick(nowMilliseconds: storage.nowMilliseconds + 1000)
        fixture.wait { $0.durable == $0.appended }
        #expect(storage.view.isFlushing)
        try change(30, 3)
        try check()
        backend.isHeld.update { $0 = false }
        fixture.flush()
        try check()
        #expect(storage.overlayBytes == 0)
        try storage.stop()
    }

    @Test func `the backend gets sorted batches of bounded size, wipes first, the checkpoint last`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        for number in 0..<30 {
            let partition = PartitionID(UInt16(number % 3))
            try fixture.storage.write(partition, try key("k\(number * 7 % 30)"), 1, "v")
        }
        fixture.storage.wipe(PartitionID(3))
        try fixture.storage.write(PartitionID(3), try key("z"), 1, "v")
        fixture.flush()
        let batches = backend.state.withLock { $0.batches }
        #expect(batches.allSatisfy { $0.count <= StorageFixture.small.flushOperations + 3 })
        #expect(batches.first?.first == .wipe(PartitionID(3)))
        guard case .metadata(.node, StorageCheckpoint.name, _) = batches.last?.last else {
            Issue.record("the checkpoint is not last")
            return
        }
        let puts = batches.flatMap { $0 }.compactMap { operation -> (PartitionID, Key)? in
            if case .put(let partition, let key, _) = operation { (partition, key) } else { nil }
        }
        #expect(puts.count == 31)
        #expect(zip(puts, puts.dropFirst()).allSatisfy { $0.0 < $1.0 || ($0.0 == $1.0 && $0.1 < $1.1) })
        try fixture.storage.stop()
    }

    @Test func `the backend gets nothing that the journal may lose`() throws {
        let disk = SimulatedDisk()
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, disk: disk, backend: backend)
        disk.state.withLock { $0.failsNextSync = true }
        try fixture.storage.write(partition, try key("a"), 1, "one")
        fixture.storage.tick(nowMilliseconds: 1)
        fixture.storage.tick(nowMilliseconds: 1000)
        fixture.wait { $0.failure != nil }
        #expect(backend.state.withLock { $0.batches.isEmpty })
        #expect(throws: StorageError.self) { try fixture.storage.stop() }
    }

    @Test func `a wiped partition never shows the backend's old records`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        for number in 0..<20 { try storage.write(partition, try key("k\(number)"), 5, "old") }
        storage.save(partition, PartitionState(configuration: .none, promised: .zero, purgeEpoch: 8))
        fixture.flush()
        storage.wipe(partition)
        #expect(try storage.read(partition, try key("k1")) == nil)
        #expect(try storage.version(partition, try key("k1")) == nil)
        #expect(try storage.everything(partition).isEmpty)
        #expect(storage.state(of: partition) == .empty)
        #expect(storage.digest(of: partition) == PartitionDigest())
        // An older version than before the wipe, while the wipe is on its way.
        backend.isHeld.update { $0 = true }
        storage.tick(nowMilliseconds: storage.nowMilliseconds + 1000)
        try storage.write(partition, try key("k1"), 1, "new")
        fixture.sync()
        #expect(try storage.everything(partition) == [try key("k1"): record(try key("k1"), 1, "new")])
        backend.isHeld.update { $0 = false }
        fixture.crash()

        let again = try StorageFixture(place, backend: backend.reopened())
        #expect(try again.storage.everything(partition).count == 1)
        again.flush()
        #expect(try again.storage.everything(partition).count == 1)
        #expect(again.storage.state(of: partition) == .empty)
        #expect(again.storage.digest(of: partition) == digest(of: try again.storage.everything(partition)))
        try again.storage.stop()
    }

    @Test func `a damaged record can be replaced and the digest follows`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        let broken = try key("k1")
        for number in 0..<5 { try storage.write(partition, try key("k\(number)"), 5, "v") }
        fixture.flush()
        backend.state.withLock { _ = $0.damaged.insert(broken) }
        #expect { try storage.read(partition, broken) } throws: { ($0 as? StorageError)?.code == .damaged }
        storage.put(partition, broken, record(broken, 5, "v"), replacing: nil)
        storage.doubtDigest(of: partition)
        #expect(storage.digest(of: partition) == digest(of: try storage.everything(partition)))
        fixture.sync()
        fixture.crash()
        // The journal replays the repair over the damaged record.
        let again = try StorageFixture(place, backend: backend.reopened())
        #expect(try again.storage.read(partition, broken)?.version.sequence == 5)
        #expect(again.storage.digest(of: partition) == digest(of: try again.storage.everything(partition)))
        try again.storage.stop()
    }

    @Test func `a damaged digest is computed from the records, a damaged state is refused`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        for number in 0..<5 { try fixture.storage.write(partition, try key("k\(number)"), 5, "v") }
        try fixture.storage.stop()
        let second = backend.reopened()
        second.state.withLock { _ = $0.damagedMetadata.insert(StorageCheckpoint.digestName) }
        let again = try StorageFixture(place, backend: second)
        #expect(again.storage.digest(of: partition) == digest(of: try again.storage.everything(partition)))
        try again.storage.stop()
        let third = backend.reopened()
        third.state.withLock { _ = $0.damagedMetadata.insert(StorageCheckpoint.stateName) }
        #expect {
            _ = try StorageFixture(place, backend: third)
        } throws: {
            ($0 as? StorageError)?.code == .damaged
        }
    }

    @Test func `after a flush the flusher rests for eight times as long, within bounds`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        var now: UInt64 = 1_000
        storage.tick(nowMilliseconds: now)
        /// Flushes what is staged in a flush that takes `duration`.
        func flush(taking duration: UInt64) throws {
            storage.tick(nowMilliseconds: now)
            #expect(storage.view.isFlushing)
            fixture.sync()
            now += duration
            storage.tick(nowMilliseconds: now)
            fixture.wait { !$0.view.isFlushing }
        }
        try storage.write(partition, try key("a"), 1, "v")
        now += 100
        try flush(taking: 400)
        try storage.write(partition, try key("a"), 2, "v")
        now += 3_199
        storage.tick(nowMilliseconds: now)
        #expect(!storage.view.isFlushing)
        now += 1
        try flush(taking: 60_000)
        try storage.write(partition, try key("a"), 3, "v")
        now += 4_000
        try flush(taking: 1)
        try storage.stop()
    }

    @Test func `a changed seed or partition count is noticed`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        try fixture.storage.write(partition, try key("a"), 1, "v")
        try fixture.storage.stop()
        var settings = StorageFixture.small
        settings.seed = 43
        let again = try StorageFixture(place, backend: backend.reopened(), settings: settings)
        var expected = PartitionDigest()
        expected.update(
            try key("a"), from: nil, to: record(try key("a"), 1, "v").version, seed: 43)
        #expect(again.storage.digest(of: partition) == expected)
        try again.storage.stop()
        let folder = try DataFolder(path: place.path, backendType: "fake")
        #expect {
            try NodeStorage(
                folder: folder, backend: again.backend.reopened(), partitions: 8, settings: StorageFixture.small
            ) { _ in }
        } throws: { ($0 as? StorageError)?.code == .foreign }
    }

    @Test func `a backend that lost its content, or came from elsewhere, is refused`() throws {
        let fixture = try StorageFixture(place, backend: FakeBackend())
        try fixture.storage.write(partition, try key("a"), 1, "v")
        try fixture.storage.stop()
        #expect { try StorageFixture(place, backend: FakeBackend()) } throws: {
            ($0 as? StorageError)?.code == .damaged
        }
        let elsewhere = try TemporaryFolder()
        let other = try StorageFixture(elsewhere, backend: FakeBackend())
        other.storage.saveNode("a", [1])
        try other.storage.stop()
        #expect { try StorageFixture(place, backend: other.backend.reopened()) } throws: {
            ($0 as? StorageError)?.code == .foreign
        }
    }

    @Test func `the engine never waits for the backend's figures, but gets them in time`() throws {
        let world = try StorageWorld()
        let first = try world.storage.statistics()
        #expect(first.backend.keys == 0)
        try world.run([.put(0, "a"), .put(1, "b"), .settle, .tick, .settle])
        #expect(try world.storage.statistics().flushed == 2)
        #expect(try world.storage.statistics().backend.keys == 0)
        _ = world.storage.flusher.step()
        #expect(try world.storage.statistics().backend.keys == 2)
        // Not asked again within the same second.
        #expect(world.storage.flusher.step() == .idle)
    }

    @Test func `a backend that keeps nothing starts empty, at a higher position`() throws {
        let fixture = try StorageFixture(place, backend: FakeBackend(durable: false))
        try fixture.storage.write(partition, try key("a"), 1, "v")
        fixture.sync()
        fixture.crash()
        let again = try StorageFixture(place, backend: FakeBackend(durable: false))
        #expect(again.storage.appended == 1)
        #expect(try again.storage.everything(partition).isEmpty)
        try again.storage.stop()
    }
}
