import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

@Suite(.timeLimit(.minutes(4))) struct JournalTests {
    static let segmentBytes = 8 << 10

    /// Frames of `counts` entries each; entry n stores value n under the node's name `n`.
    static func frames(from first: UInt64, _ counts: [Int], padding: Int = 0) -> [JournalFrame] {
        var position = first
        return counts.map { count in
            let frame = JournalFrame(firstPosition: position)
            for _ in 0..<count {
                _ = frame.append(node: "n", Self.content(position, padding))
                position += 1
            }
            return frame
        }
    }

    static func content(_ position: UInt64, _ padding: Int) -> [UInt8] {
        Array("\(position)".utf8) + [UInt8](repeating: 0x2E, count: padding)
    }

    struct Found {
        var recovery: JournalRecovery
        var values: [UInt64: [UInt8]]
    }

    static func recover(_ files: SimulatedDisk, applied: UInt64 = 0) throws -> Found {
        var values: [UInt64: [UInt8]] = [:]
        let recovery = try JournalRecovery(
            files: files.journal, folder: 7, segmentBytes: segmentBytes, applied: applied
        ) {
            position, entry throws(StorageError) in
            if case .node(_, let bytes) = entry { values[position] = bytes }
        }
        return Found(recovery: recovery, values: values)
    }

    static func open(_ files: SimulatedDisk, applied: UInt64 = 0) throws -> Journal {
        try Journal(try recover(files, applied: applied).recovery, segmentBytes: segmentBytes)
    }

    static func write(_ journal: Journal, _ frames: [JournalFrame]) throws(StorageError) {
        var frames = frames[...]
        try journal.write(&frames) { _ in }
    }

    @Test func `what was written is found, in order, across segments`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        for first in stride(from: UInt64(1), through: 91, by: 10) {
            try Self.write(journal, Self.frames(from: first, [3, 7], padding: 100))
        }
        #expect(journal.segmentCount > 1)
        let found = try Self.recover(files)
        #expect(found.recovery.lastPosition == 100)
        #expect(found.values.count == 100)
        #expect(found.values[57] == Self.content(57, 100))
    }

    @Test func `all waiting frames become one write and one sync`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        let before = files.state.withLock { ($0.writes, $0.syncs) }
        try Self.write(journal, Self.frames(from: 1, [1, 2, 3, 4, 5]))
        let after = files.state.withLock { ($0.writes, $0.syncs) }
        #expect(after.0 - before.0 == 1)
        #expect(after.1 - before.1 == 1)
    }

    @Test func `what is read at open is durable before it counts`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [2]))
        files.state.withLock { $0.failsNextSync = true }
        #expect(throws: StorageError.self) { try Self.write(journal, Self.frames(from: 3, [2])) }
        // The process restarts; the system still shows pages that it believes to be clean.
        let found = try Self.recover(files)
        #expect(found.recovery.lastPosition == 4)
        for seed in 0..<8 {
            var randomness = Randomness(UInt64(seed))
            files.crash(&randomness)
            #expect(try Self.recover(files).values.count == 4)
        }
    }

    @Test func `a torn frame at the end is dropped`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [2]))
        try Self.write(journal, Self.frames(from: 3, [2]))
        let end = SegmentHeader.length + 2 * Self.frames(from: 1, [2])[0].paddedLength
        files.damageSegment(1) { $0[end - 10] ^= 1 }
        let found = try Self.recover(files)
        #expect(found.recovery.lastPosition == 2)
        #expect(found.values.count == 2)
    }

    @Test func `a bad frame with acknowledged frames behind it is damage`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        for first in [UInt64(1), 3, 5] { try Self.write(journal, Self.frames(from: first, [2])) }
        files.damageSegment(1) { $0[SegmentHeader.length + 40] ^= 1 }
        #expect { try Self.recover(files) } throws: { ($0 as? StorageError)?.code == .damaged }
    }

    @Test func `a bad frame in an earlier segment is damage unless the backend has it`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        for first in stride(from: UInt64(1), through: 91, by: 10) {
            try Self.write(journal, Self.frames(from: first, [10], padding: 100))
        }
        files.damageSegment(1) { $0[SegmentHeader.length + 40] ^= 1 }
        #expect { try Self.recover(files) } throws: { ($0 as? StorageError)?.code == .damaged }
        #expect(try Self.recover(files, applied: 80).values.count == 20)
    }

    @Test func `a missing segment and a journal behind the backend are damage`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [10], padding: 100))
        #expect { try Self.recover(files, applied: 11) } throws: { ($0 as? StorageError)?.code == .damaged }
        #expect { try Self.recover(SimulatedDisk.withJournal(), applied: 1) } throws: {
            ($0 as? StorageError)?.code == .damaged
        }
    }

    @Test func `what a recycled segment held before never comes back`() throws {
        let files = SimulatedDisk.withJournal()
        var journal = try Self.open(files)
        var position: UInt64 = 1
        for round in 0..<40 {
            try Self.write(journal, Self.frames(from: position, [5], padding: 200))
            position += 5
            if round % 3 == 2 { try journal.release(upTo: position - 1) }
            if round % 10 == 9 {
                let found = try Self.recover(files, applied: position - 3)
                #expect(found.recovery.lastPosition == position - 1)
                #expect(found.values.count == 2)
                journal = try Journal(found.recovery, segmentBytes: Self.segmentBytes)
            }
        }
        #expect(files.state.withLock { $0.image.names.count } < 10)
        #expect(files.state.withLock { $0.image.created } < 12)
    }

    @Test func `a frame of an earlier use of the file does not pass, even at the right position`() throws {
        let files = SimulatedDisk.withJournal()
        _ = try Self.open(files)
        let frame = Self.frames(from: 1, [2])[0]
        for (number, count) in [(UInt64(1), 2), (2, 0)] {
            let use = SegmentHeader(folder: 7, number: number, firstPosition: 1, length: Self.segmentBytes)
            let bytes = Array(frame.seal(salt: use.salt, durable: 0))
            files.damageSegment(1) {
                $0.replaceSubrange(SegmentHeader.length..<SegmentHeader.length + bytes.count, with: bytes)
            }
            #expect(try Self.recover(files).values.count == count)
        }
    }

    @Test func `a full disk leaves the frames to be written again`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        var frames = Self.frames(from: 1, [Int](repeating: 5, count: 30), padding: 200)[...]
        files.state.withLock { $0.isFull = true }
        for _ in 0..<3 {
            #expect { try journal.write(&frames) { _ in } } throws: { ($0 as? StorageError)?.code == .full }
        }
        #expect(journal.durable == 0)
        files.state.withLock { $0.isFull = false }
        try journal.write(&frames) { _ in }
        #expect(journal.durable == 150)
        #expect(try Self.recover(files).values.count == 150)
    }

    @Test func `an entry larger than a segment gets one of its own`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [1, 1, 1], padding: 20_000))
        try journal.release(upTo: 3)
        try Self.write(journal, Self.frames(from: 4, [1]))
        #expect(try Self.recover(files, applied: 2).values.count == 2)
    }

    @Test func `a failed sync is not tried again`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        files.state.withLock { $0.failsNextSync = true }
        #expect { try Self.write(journal, Self.frames(from: 1, [1])) } throws: {
            ($0 as? StorageError)?.code == .poisoned
        }
        #expect(journal.durable == 0)
    }

    @Test func `a segment whose number has no successor is damage`() throws {
        let files = SimulatedDisk.withJournal()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [2]))
        try files.journal.rename("segment-\(hexadecimal(UInt64(1)))", to: "segment-ffffffffffffffff")
        #expect { try Self.recover(files) } throws: { ($0 as? StorageError)?.code == .damaged }
    }

    @Test(arguments: [0, .max] as [UInt64]) func `a header with a number that no journal has is damage`(
        number: UInt64
    ) throws {
        for header in [
            SegmentHeader(folder: 7, number: number, firstPosition: 1, length: Self.segmentBytes),
            SegmentHeader(folder: 7, number: 1, firstPosition: number, length: Self.segmentBytes),
        ] {
            let files = SimulatedDisk.withJournal()
            let journal = try Self.open(files)
            try Self.write(journal, Self.frames(from: 1, [2]))
            files.damageSegment(1) { $0.replaceSubrange(0..<SegmentHeader.length, with: header.bytes) }
            #expect { try Self.recover(files) } throws: { ($0 as? StorageError)?.code == .damaged }
        }
    }

    @Test func `arbitrary bytes in a segment never trap`() throws {
        for seed in 0..<200 {
            var randomness = Randomness(UInt64(seed))
            let files = SimulatedDisk.withJournal()
            let journal = try Self.open(files)
            for first in [UInt64(1), 3, 5] { try Self.write(journal, Self.frames(from: first, [2])) }
            files.damageSegment(1) { bytes in
                for _ in 0..<3 {
                    let index = Int.random(in: 0..<SegmentHeader.length + 256, using: &randomness)
                    bytes[index] = UInt8.random(in: 0...255, using: &randomness)
                }
            }
            do {
                _ = try Self.recover(files)
            } catch let error as StorageError {
                #expect(error.code == .damaged || error.code == .foreign)
            }
        }
    }
}
