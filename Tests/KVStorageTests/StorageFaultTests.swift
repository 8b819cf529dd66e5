import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

@Suite(.timeLimit(.minutes(4))) struct StorageFaultTests {
    let place: TemporaryFolder
    let partition = PartitionID(1)

    init() throws { place = try TemporaryFolder() }

    @Test func `a failed sync poisons the storage for good`() throws {
        let disk = SimulatedDisk()
        let fixture = try StorageFixture(place, disk: disk, backend: FakeBackend())
        let storage = fixture.storage
        try storage.write(partition, try key("a"), 1, "one")
        fixture.sync()
        disk.state.withLock { $0.failsNextSync = true }
        try storage.write(partition, try key("b"), 1, "two")
        fixture.sync()
        #expect(storage.failure?.code == .poisoned)
        let syncs = disk.state.withLock { $0.syncs }
        try storage.write(partition, try key("c"), 1, "three")
        storage.commit()
        storage.tick(nowMilliseconds: 10_000)
        #expect(storage.durable == 1)
        #expect(throws: StorageError.self) { try storage.stop() }
        #expect(disk.state.withLock { $0.syncs } == syncs)
        let again = try StorageFixture(place, disk: disk, backend: FakeBackend())
        #expect(try again.storage.read(partition, try key("a")) != nil)
        #expect(try again.storage.read(partition, try key("c")) == nil)
        try again.storage.stop()
    }

    @Test func `a full disk delays what is staged and loses nothing`() throws {
        let disk = SimulatedDisk()
        let fixture = try StorageFixture(place, disk: disk, backend: FakeBackend())
        let storage = fixture.storage
        disk.state.withLock { $0.isFull = true }
        for number in 0..<10 { try storage.write(partition, try key("k\(number)"), 1, "v") }
        storage.commit()
        fixture.wait { $0.degradation != nil }
        #expect(storage.degradation?.code == .full)
        #expect(storage.durable == 0)
        #expect(storage.failure == nil)
        #expect(try storage.read(partition, try key("k3")) != nil)
        disk.state.withLock { $0.isFull = false }
        fixture.sync()
        #expect(storage.durable == 10)
        fixture.wait { $0.degradation == nil }
        try storage.stop()
    }

    @Test func `a stop while the disk is full says so and keeps what was durable`() throws {
        let disk = SimulatedDisk()
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, disk: disk, backend: backend)
        try fixture.storage.write(partition, try key("a"), 1, "v")
        fixture.sync()
        disk.state.withLock { $0.isFull = true }
        try fixture.storage.write(partition, try key("b"), 1, "v")
        #expect { try fixture.storage.stop() } throws: { ($0 as? StorageError)?.code == .full }
        disk.state.withLock { $0.isFull = false }
        let again = try StorageFixture(place, disk: disk, backend: backend.reopened())
        #expect(try again.storage.read(partition, try key("a")) != nil)
        try again.storage.stop()
    }

    @Test func `a full backend is tried again until it takes the batch`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        backend.state.withLock {
            $0.failures = [StorageError(.full, "full"), StorageError(.full, "full"), StorageError(.full, "full")]
        }
        try storage.write(partition, try key("a"), 1, "v")
        storage.tick(nowMilliseconds: 1)
        storage.tick(nowMilliseconds: 100)
        fixture.wait { $0.degradation != nil || $0.flushed == 1 }
        fixture.wait { $0.flushed == 1 }
        #expect(storage.degradation == nil)
        #expect(backend.state.withLock { $0.failures.isEmpty })
        #expect(try storage.read(partition, try key("a")) != nil)
        try storage.stop()
    }

    @Test func `a poisoned backend stops the storage, and the journal keeps everything`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        backend.state.withLock { $0.failures = [StorageError(.poisoned, "commit failed")] }
        try storage.write(partition, try key("a"), 1, "v")
        fixture.sync()
        storage.tick(nowMilliseconds: 1)
        storage.tick(nowMilliseconds: 100)
        fixture.wait { $0.failure != nil }
        storage.put(partition, try key("b"), record(try key("b"), 1, "v"), replacing: nil)
        storage.commit()
        #expect(storage.durable == 1)
        #expect { try storage.stop() } throws: { ($0 as? StorageError)?.code == .poisoned }
        let again = try StorageFixture(place, backend: backend.reopened())
        #expect(try again.storage.read(partition, try key("a")) != nil)
        try again.storage.stop()
    }

    @Test func `the overlay says when it is over its limit`() throws {
        let backend = FakeBackend()
        let fixture = try StorageFixture(place, backend: backend)
        let storage = fixture.storage
        backend.isHeld.update { $0 = true }
        for number in 0..<1000 { try storage.write(partition, try key("k\(number)"), 1, "v") }
        #expect(storage.isOverLimit)
        storage.commit()
        #expect(storage.view.isFlushing)
        backend.isHeld.update { $0 = false }
        fixture.flush()
        #expect(!storage.isOverLimit)
        // One key over and over takes no memory, but journal.
        backend.isHeld.update { $0 = true }
        for number in 0..<7000 { try storage.write(partition, try key("k"), UInt64(number + 2), "v") }
        #expect(storage.isOverLimit)
        backend.isHeld.update { $0 = false }
        try storage.stop()
    }

    @Test func `real files and threads keep up with each other`() throws {
        var backend = FakeBackend(pageLimit: 1000)
        var settings = StorageFixture.small
        settings.segmentBytes = 256 << 10
        var counter: UInt64 = 0
        for _ in 0..<4 {
            let fixture = try StorageFixture(place, backend: backend, settings: settings)
            let storage = fixture.storage
            let started = counter
            for batch in 0..<80 {
                for _ in 0..<20 {
                    counter += 1
                    try storage.write(PartitionID(UInt16(counter % 4)), try key("k\(counter % 997)"), counter, "v")
                }
                storage.commit()
                storage.tick(nowMilliseconds: UInt64(batch + 1) * 10)
                if batch % 8 == 0 { fixture.wait { $0.durable > started || $0.failure != nil } }
                if storage.isOverLimit { fixture.wait { !$0.isOverLimit || $0.failure != nil } }
            }
            fixture.sync()
            #expect(storage.failure == nil)
            #expect(try storage.statistics().journalSyncs > 0)
            fixture.crash()
            backend = backend.reopened()
        }
        let fixture = try StorageFixture(place, backend: backend, settings: settings)
        #expect(fixture.storage.durable == counter)
        for number in (counter - 996)...counter {
            let found = try fixture.storage.version(PartitionID(UInt16(number % 4)), try key("k\(number % 997)"))
            #expect(found?.sequence == number)
        }
        try fixture.storage.stop()
    }
}
