import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// Bytes change on the disk, or files go back to what they were.
@Suite(.timeLimit(.minutes(4))) struct BitRotTests {
    /// A folder after three flushes' worth of writes, the last of which the backend lacks.
    struct Fixture {
        let world: StorageWorld
        let image: DiskImage
        /// Durable before the last write of the journal.
        let settled: UInt64

        init() throws {
            world = try StorageWorld()
            try world.run([.put(0, "a"), .put(1, "b"), .save(0), .settle, .tick, .settle])
            for name in ["c", "d", "a", "e"] { try world.run([.put(0, name), .put(1, name), .node, .settle]) }
            settled = world.acknowledged
            try world.run([.put(0, "z"), .settle])
            image = world.disk.state.withLock { $0.image }
        }

        /// The position that is found in `image`, or why it is refused.
        func open(_ image: DiskImage, content: FakeBackend.Content? = nil, from position: UInt64) throws -> UInt64 {
            let backend = world.backend.reopened()
            if let content { backend.state.withLock { $0.content = content } }
            let storage = try CrashChecker.open(SimulatedDisk(image), backend, EventQueue())
            defer { storage.abandon() }
            return try CrashChecker.compare(storage, world.contents, from: position)
        }
    }

    @Test func `no changed byte goes unnoticed, but one in the last write looks like its crash`() throws {
        let fixture = try Fixture()
        var randomness = Randomness(3)
        var states = 0
        var refused = 0
        var short = 0
        for path in fixture.image.names.keys.sorted() {
            guard let id = fixture.image.id(of: path), let bytes = fixture.image.contents[id]?.disk,
                let last = bytes.lastIndex(where: { $0 != 0 })
            else { continue }
            // Most of a segment's header is nothing but zeros that nobody reads.
            for offset in 0...min(last + 16, bytes.count - 1) where !(80..<SegmentHeader.length).contains(offset) {
                var image = fixture.image
                let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &randomness)
                image.damage(path) { $0[offset] ^= bit }
                states += 1
                do {
                    let found = try fixture.open(image, from: fixture.settled)
                    if found < fixture.world.acknowledged { short += 1 }
                } catch let error as StorageError {
                    #expect(error.code == .damaged || error.code == .foreign, "\(path), byte \(offset): \(error)")
                    refused += 1
                }
            }
        }
        #expect(refused > states / 2)
        print("crash states: \(states) (a bit changed; \(refused) refused, \(short) without the last write)")
    }

    @Test func `a segment that is gone or cut off is refused`() throws {
        let fixture = try Fixture()
        let segments = fixture.image.names.keys.filter { $0.contains("/segment-") }.sorted()
        let last = try #require(segments.last)
        for path in segments {
            var image = fixture.image
            image.remove(path)
            #expect { try fixture.open(image, from: 0) } throws: { ($0 as? StorageError)?.code == .damaged }
        }
        var image = fixture.image
        image.damage(last) { $0 = Array($0.prefix(SegmentHeader.length)) }
        #expect { try fixture.open(image, from: 0) } throws: { "\($0)".contains("cut off") }
        image.damage(last) { $0 = [] }
        #expect { try fixture.open(image, from: 0) } throws: { ($0 as? StorageError)?.code == .damaged }
    }

    @Test func `a lost marker is refused as long as there is a journal`() throws {
        let fixture = try Fixture()
        var image = fixture.image
        image.remove("/data/.kv/backend")
        #expect { try fixture.open(image, from: 0) } throws: { ($0 as? StorageError)?.code == .damaged }
    }

    @Test func `a journal or backend that went back alone is refused, both together show it in the position`() throws {
        for length in 1..<30 {
            let world = try StorageWorld()
            var randomness = Randomness(UInt64(length))
            try world.run([.put(0, "a"), .settle, .tick, .settle])
            let oldImage = world.disk.state.withLock { $0.image }
            let oldContent = world.backend.state.withLock { $0.content }
            let old = world.acknowledged
            for _ in 0..<length {
                let name = "k\(Int.random(in: 0..<20, using: &randomness))"
                for _ in 0..<20 { try world.run(.put(0, name)) }
                try world.run([.settle, .tick, .settle])
            }
            let newImage = world.disk.state.withLock { $0.image }
            func open(_ image: DiskImage, _ content: FakeBackend.Content, from position: UInt64) throws -> UInt64 {
                let backend = FakeBackend(pageLimit: 100)
                backend.state.withLock { $0.content = content }
                let storage = try CrashChecker.open(SimulatedDisk(image), backend, EventQueue())
                defer { storage.abandon() }
                return try CrashChecker.compare(storage, world.contents, from: position)
            }
            let newContent = world.backend.state.withLock { $0.content }
            #expect(throws: StorageError.self) { try open(oldImage, newContent, from: 0) }
            do {
                // As long as the journal still has everything, nothing is missing.
                #expect(try open(newImage, oldContent, from: world.acknowledged) == world.acknowledged)
            } catch let error as StorageError {
                #expect(error.code == .damaged)
            }
            #expect(try open(oldImage, oldContent, from: old) == old)
            #expect(old < world.acknowledged)
        }
    }
}
