import KVProtocols
import KVSnapshot
import Testing

@Suite struct SnapshotTests {
    private func make(_ count: Int, large: Bool = false) -> [SnapshotRecord] {
        (0..<count).map { number in
            let key = Key(unchecked: Array("key/\(number)/\u{00E4}".utf8))
            let length = large && number == 3 ? 600_000 : number % 300
            let value = number % 5 == 4 ? nil : (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
            let version = Version(ballot: Ballot(counter: 3, node: NodeID(2)), sequence: UInt64(number + 1))
            return SnapshotRecord(
                key: key,
                record: Record(
                    key: key, version: version, value: value, expiresAt: number % 9 == 0 ? 1_900_000_000_000 : 0))
        }
    }

    private func write(_ records: [SnapshotRecord]) throws -> (bytes: [UInt8], end: SnapshotEnd) {
        var bytes: [UInt8] = []
        let head = SnapshotHead(source: .cluster, name: "demo", createdAt: 1_790_000_000_000)
        var writer = try SnapshotWriter(head) { bytes += $0 }
        for entry in records { try writer.add(entry.key, entry.record) }
        let end = try writer.finish()
        return (bytes, end)
    }

    /// Hands out the bytes in pieces of odd lengths, as a pipe does.
    private func read(_ bytes: [UInt8]) throws -> (head: SnapshotHead, records: [SnapshotRecord], end: SnapshotEnd?) {
        var rest = bytes[...]
        var reader = try SnapshotReader { count in
            let piece = Array(rest.prefix(min(count, 977)))
            rest = rest.dropFirst(piece.count)
            return piece
        }
        var records: [SnapshotRecord] = []
        while let more = try reader.next() { records += more }
        return (reader.head, records, reader.end)
    }

    private func code(_ bytes: [UInt8]) -> SnapshotError.Code? {
        do {
            _ = try read(bytes)
            return nil
        } catch {
            return (error as? SnapshotError)?.code
        }
    }

    @Test(arguments: [0, 1, 5_000])
    func whatIsWrittenIsRead(count: Int) throws {
        let records = make(count, large: true)
        let (bytes, end) = try write(records)
        let found = try read(bytes)
        #expect(found.records == records)
        #expect(found.end == end)
        #expect(found.head == SnapshotHead(source: .cluster, name: "demo", createdAt: 1_790_000_000_000))
        #expect(end.records == UInt64(count))
        #expect(end.tombstones == UInt64(records.count { $0.record.isTombstone }))
    }

    @Test func aSnapshotThatEndsAnywhereBeforeItsEndIsRefused() throws {
        let (bytes, _) = try write(make(12))
        for length in 0..<bytes.count { #expect(code(Array(bytes[..<length])) == .cutOff, "after \(length) bytes") }
        #expect(code(bytes + [0]) == .damaged)
    }

    @Test func aFlippedBitIsNoticedWhereverItIs() throws {
        let (bytes, _) = try write(make(12))
        for position in bytes.indices {
            var damaged = bytes
            damaged[position] ^= 1 << UInt8(position % 8)
            #expect(code(damaged) != nil, "at \(position)")
        }
    }

    @Test func framesCanBeNeitherLeftOutNorExchanged() throws {
        let records = make(3_000)
        let (bytes, _) = try write(records)
        var frames: [ArraySlice<UInt8>] = []
        var rest = bytes.dropFirst(8)
        while !rest.isEmpty {
            let length = (1...4).reversed().reduce(0) { $0 << 8 | Int(rest[rest.startIndex + $1]) } + 9
            frames.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        try #require(frames.count >= 4)
        func joined(_ frames: [ArraySlice<UInt8>]) -> [UInt8] { Array(bytes.prefix(8)) + frames.joined() }
        #expect(code(joined(frames)) == nil)
        #expect(code(joined([frames[0]] + frames[2...])) == .damaged)
        #expect(code(joined([frames[0], frames[2], frames[1]] + frames[3...])) == .damaged)
        #expect(code(joined(frames + [frames[1]])) == .damaged)
    }

    @Test func contentDependsOnKeysAndValuesAlone() throws {
        let records = make(200)
        let (_, end) = try write(records)
        let rewritten = records.reversed().filter { !$0.record.isTombstone }.enumerated().map { index, entry in
            let version = Version(ballot: Ballot(counter: 99, node: NodeID(5)), sequence: UInt64(index + 1))
            return SnapshotRecord(
                key: entry.key, record: Record(key: entry.key, version: version, value: entry.record.value))
        }
        #expect(try write(rewritten).end.content == end.content)
        var changed = rewritten
        changed[7].record = Record(key: changed[7].key, version: changed[7].record.version, value: [1])
        #expect(try write(changed).end.content != end.content)
        changed.remove(at: 7)
        #expect(try write(changed).end.content != end.content)
    }

    @Test func otherFilesAreNoSnapshots() throws {
        #expect(code(Array("SQLite format 3\0 and more".utf8)) == .foreign)
        #expect(code([]) == .cutOff)
        var (bytes, _) = try write([])
        bytes.replaceSubrange(9..<13, with: [0xFF, 0xFF, 0xFF, 0x7F])
        #expect(code(bytes) == .damaged)
    }
}
