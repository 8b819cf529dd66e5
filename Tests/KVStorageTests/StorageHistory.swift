import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// Random changes, flushes and power cuts over one folder, compared with every prefix of what was staged.
struct StorageHistory {
    struct Content: Equatable {
        var records: [PartitionID: [Key: Record]] = [:]
        var states: [PartitionID: PartitionState] = [:]
        var node: [UInt8]?
    }

    private let seed: UInt64
    private let place: TemporaryFolder
    private let files = FaultyJournalFiles()
    private var backend: FakeBackend
    private var randomness: Randomness
    /// `contents[n]` is what must be seen after the entries up to position `base + n`.
    private var contents = [Content()]
    private var base: UInt64 = 0
    private var counter: UInt64 = 0

    init(seed: UInt64, place: TemporaryFolder, atomic: Bool) {
        self.seed = seed
        self.place = place
        backend = FakeBackend(atomic: atomic)
        randomness = Randomness(seed)
    }

    mutating func runAndCrash() throws {
        let fixture: StorageFixture
        do {
            fixture = try open()
        } catch let error as StorageError {
            Issue.record("seed \(seed): \(error)")
            throw error
        }
        let calls = Int.random(in: 0..<120, using: &randomness)
        let operations = Int.random(in: 0..<150, using: &randomness)
        switch Int.random(in: 0..<4, using: &randomness) {
        case 0: break
        case 1: files.state.withLock { $0.callsLeft = calls }
        case 2: backend.state.withLock { $0.operationsLeft = operations }
        default:
            files.state.withLock { $0.callsLeft = calls }
            backend.state.withLock { $0.operationsLeft = operations }
        }
        for _ in 0..<Int.random(in: 5..<60, using: &randomness) where fixture.storage.failure == nil {
            try step(fixture)
        }
        let durable = fixture.storage.durable
        fixture.crash()
        files.crash(&randomness)
        backend = backend.reopened()
        try compare(atLeast: durable)
    }

    private func open() throws -> StorageFixture {
        try StorageFixture(place, files: files, backend: backend)
    }

    private mutating func step(_ fixture: StorageFixture) throws {
        let storage = fixture.storage
        do {
            for _ in 0..<Int.random(in: 1...8, using: &randomness) {
                contents.append(try stage(storage))
            }
        } catch let error as StorageError where error.code == .poisoned {
            // The backend has failed; its thread tells so as well.
            fixture.wait { $0.failure != nil }
            return
        }
        switch Int.random(in: 0..<4, using: &randomness) {
        case 0: fixture.sync()
        case 1: storage.commit()
        case 2: fixture.flush()
        default: storage.tick(nowMilliseconds: storage.nowMilliseconds + 60)
        }
    }

    /// Stages one entry and returns the content after it.
    private mutating func stage(_ storage: NodeStorage) throws -> Content {
        var content = contents[contents.count - 1]
        counter += 1
        let partition = PartitionID(UInt16.random(in: 0..<4, using: &randomness))
        let key = try key("k\(Int.random(in: 0..<12, using: &randomness))")
        switch Int.random(in: 0..<20, using: &randomness) {
        case 0:
            storage.wipe(partition)
            content.records[partition] = nil
            content.states[partition] = nil
        case 1, 2:
            let state = PartitionState(
                configuration: Configuration(initial: [NodeID(1), NodeID(2)]),
                promised: Ballot(counter: counter, node: NodeID(1)), purgeEpoch: counter)
            storage.save(partition, state)
            content.states[partition] = state
        case 3:
            content.node = counter % 3 == 0 ? nil : Array("\(counter)".utf8)
            storage.saveNode("identity", content.node)
        case 4, 5, 6, 7:
            guard let old = try storage.version(partition, key) else { fallthrough }
            storage.purge(partition, key, replacing: old)
            content.records[partition]?[key] = nil
            if content.records[partition]?.isEmpty == true { content.records[partition] = nil }
        default:
            let new = record(key, counter, counter % 4 == 0 ? nil : "v\(counter)")
            storage.put(partition, key, new, replacing: try storage.version(partition, key))
            content.records[partition, default: [:]][key] = new
        }
        return content
    }

    /// Opens twice (replaying twice must be harmless) and goes on from what it found.
    private mutating func compare(atLeast durable: UInt64) throws {
        for _ in 0..<2 {
            let fixture = try open()
            defer { fixture.crash() }
            let storage = fixture.storage
            let position = storage.durable
            #expect(position >= durable && position <= base + UInt64(contents.count - 1), "seed \(seed)")
            guard position >= base, position - base < UInt64(contents.count) else { return }
            let expected = contents[Int(position - base)]
            var found = Content(node: try storage.node("identity"))
            for number in 0..<StorageFixture.partitions {
                let partition = PartitionID(UInt16(number))
                let records = try storage.everything(partition)
                if !records.isEmpty { found.records[partition] = records }
                if storage.state(of: partition) != .empty { found.states[partition] = storage.state(of: partition) }
                #expect(storage.digest(of: partition) == digest(of: records), "seed \(seed), partition \(number)")
            }
            #expect(found == expected, "seed \(seed), position \(position)")
            contents = [expected]
            base = position
        }
    }
}
