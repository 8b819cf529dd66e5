import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

@Suite(.timeLimit(.minutes(2))) struct JournalTests {
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

    static func recover(_ files: FaultyJournalFiles, applied: UInt64 = 0) throws -> Found {
        var values: [UInt64: [UInt8]] = [:]
        let recovery = try JournalRecovery(files: files, folder: 7, segmentBytes: segmentBytes, applied: applied) {
            position, entry throws(StorageError) in
            if case .node(_, let bytes) = entry { values[position] = bytes }
        }
        return Found(recovery: recovery, values: values)
    }

    static func open(_ files: FaultyJournalFiles, applied: UInt64 = 0) throws -> Journal {
        try Journal(try recover(files, applied: applied).recovery, segmentBytes: segmentBytes)
    }

    static func write(_ journal: Journal, _ frames: [JournalFrame]) throws(StorageError) {
        var frames = frames[...]
        try journal.write(&frames) { _ in }
    }

    @Test func `what was written is found, in order, across segments`() throws {
        let files = FaultyJournalFiles()
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
        let files = FaultyJournalFiles()
        let journal = try Self.open(files)
        let before = files.state.withLock { ($0.writes, $0.syncs) }
        try Self.write(journal, Self.frames(from: 1, [1, 2, 3, 4, 5]))
        let after = files.state.withLock { ($0.writes, $0.syncs) }
        #expect(after.0 - before.0 == 1)
        #expect(after.1 - before.1 == 1)
    }

    @Test(arguments: 0..<60) func `a crash at any call keeps everything that was durable`(calls: Int) throws {
        for seed in 0..<4 {
            var randomness = Randomness(UInt64(calls * 100 + seed))
            let files = FaultyJournalFiles()
            var durable: UInt64 = 0
            var staged: UInt64 = 0
            files.state.withLock { $0.callsLeft = calls }
            do {
                let journal = try Self.open(files)
                defer { durable = journal.durable }
                for round in 0..<30 {
                    let counts = [Int.random(in: 1...4, using: &randomness), 2, 1]
                    let frames = Self.frames(from: staged + 1, counts, padding: 150)
                    staged += UInt64(counts.reduce(0, +))
                    try Self.write(journal, frames)
                    if round % 9 == 8 { try journal.release(upTo: 0) }
                }
            } catch let error as StorageError {
                #expect(error.code == .io || error.code == .poisoned)
            }
            files.crash(&randomness)
            let found = try Self.recover(files)
            let last = found.recovery.lastPosition
            #expect(last >= durable && last <= staged, "calls \(calls), seed \(seed)")
            for position in stride(from: UInt64(1), through: last, by: 1) {
                #expect(found.values[position] == Self.content(position, 150))
            }
            #expect(found.values.count == Int(last))
        }
    }

    @Test func `what is read at open is durable before it counts`() throws {
        let files = FaultyJournalFiles()
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
        let files = FaultyJournalFiles()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [2]))
        try Self.write(journal, Self.frames(from: 3, [2]))
        let end = SegmentHeader.length + 2 * Self.frames(from: 1, [2])[0].paddedLength
        files.damage(SegmentHeader(folder: 7, number: 1, firstPosition: 1).name) { $0[end - 10] ^= 1 }
        let found = try Self.recover(files)
        #expect(found.recovery.lastPosition == 2)
        #expect(found.values.count == 2)
    }

    @Test func `a bad frame with acknowledged frames behind it is damage`() throws {
        let files = FaultyJournalFiles()
        let journal = try Self.open(files)
        for first in [UInt64(1), 3, 5] { try Self.write(journal, Self.frames(from: first, [2])) }
        let name = SegmentHeader(folder: 7, number: 1, firstPosition: 1).name
        files.damage(name) { $0[SegmentHeader.length + 40] ^= 1 }
        #expect { try Self.recover(files) } throws: { ($0 as? StorageError)?.code == .damaged }
    }

    @Test func `a bad frame in an earlier segment is damage unless the backend has it`() throws {
        let files = FaultyJournalFiles()
        let journal = try Self.open(files)
        for first in stride(from: UInt64(1), through: 91, by: 10) {
            try Self.write(journal, Self.frames(from: first, [10], padding: 100))
        }
        let name = SegmentHeader(folder: 7, number: 1, firstPosition: 1).name
        files.damage(name) { $0[SegmentHeader.length + 40] ^= 1 }
        #expect { try Self.recover(files) } throws: { ($0 as? StorageError)?.code == .damaged }
        #expect(try Self.recover(files, applied: 80).values.count == 20)
    }

    @Test func `a missing segment and a journal behind the backend are damage`() throws {
        let files = FaultyJournalFiles()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [10], padding: 100))
        #expect { try Self.recover(files, applied: 11) } throws: { ($0 as? StorageError)?.code == .damaged }
        #expect { try Self.recover(FaultyJournalFiles(), applied: 1) } throws: {
            ($0 as? StorageError)?.code == .damaged
        }
    }

    @Test func `what a recycled segment held before never comes back`() throws {
        let files = FaultyJournalFiles()
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
        #expect(files.state.withLock { $0.names.count } < 8)
        #expect(files.state.withLock { $0.nextContent } < 12)
    }

    @Test func `a full disk leaves the frames to be written again`() throws {
        let files = FaultyJournalFiles()
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
        let files = FaultyJournalFiles()
        let journal = try Self.open(files)
        try Self.write(journal, Self.frames(from: 1, [1, 1, 1], padding: 20_000))
        try journal.release(upTo: 3)
        try Self.write(journal, Self.frames(from: 4, [1]))
        #expect(try Self.recover(files, applied: 2).values.count == 2)
    }

    @Test func `a failed sync is not tried again`() throws {
        let files = FaultyJournalFiles()
        let journal = try Self.open(files)
        files.state.withLock { $0.failsNextSync = true }
        #expect { try Self.write(journal, Self.frames(from: 1, [1])) } throws: {
            ($0 as? StorageError)?.code == .poisoned
        }
        #expect(journal.durable == 0)
    }

    @Test func `arbitrary bytes in a segment never trap`() throws {
        for seed in 0..<200 {
            var randomness = Randomness(UInt64(seed))
            let files = FaultyJournalFiles()
            let journal = try Self.open(files)
            for first in [UInt64(1), 3, 5] { try Self.write(journal, Self.frames(from: first, [2])) }
            files.damage(SegmentHeader(folder: 7, number: 1, firstPosition: 1).name) { bytes in
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
