import KVProtocols
import KVReplication
import KVTransport
import NIOCore
import Testing

@Suite struct PeerCodecTests {
    private func frames(_ messages: [PeerMessage]) -> [ByteBuffer] {
        var frames: [ByteBuffer] = []
        var position = 0
        while let frame = PeerCodec.frame(of: messages, from: &position, allocator: ByteBufferAllocator()) {
            frames.append(frame.buffer)
        }
        return frames
    }

    /// The content of a frame: without length and kind.
    private func content(_ frame: ByteBuffer) -> [UInt8] { Array(frame.readableBytesView.dropFirst(5)) }

    private func decode(_ bytes: [UInt8]) throws -> (messages: [PeerMessage], damaged: Int) {
        var messages: [PeerMessage] = []
        let damaged = try bytes.withUnsafeBytes { try PeerCodec.decode($0, into: &messages) }
        return (messages, damaged)
    }

    @Test(arguments: 0..<200 as Range<UInt64>) func `every message comes out as it went in`(seed: UInt64) throws {
        var random = RandomMessages(seed: seed)
        let messages = random.everyCase()
        let frames = frames(messages)
        #expect(frames.count == 1)
        let decoded = try decode(content(frames[0]))
        #expect(decoded.damaged == 0)
        #expect(decoded.messages.map(Compared.init) == messages.map(Compared.init), "seed \(seed)")
    }

    @Test func `the measured length is the written length`() {
        var random = RandomMessages(seed: 1)
        for message in random.everyCase() {
            let frame = frames([message])[0]
            #expect(frame.readableBytes == 5 + PeerCodec.length(of: message))
            #expect(frame.getInteger(at: 0, endianness: .little, as: UInt32.self) == UInt32(frame.readableBytes - 4))
        }
    }

    @Test func `a message that was cut off anywhere is an error`() {
        var random = RandomMessages(seed: 2)
        for message in random.everyCase() {
            let bytes = content(frames([message])[0])
            for length in 1..<bytes.count {
                #expect(throws: PeerCodecError.self) { try decode(Array(bytes.prefix(length))) }
            }
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func `flipped bits are an error or another message`(seed: UInt64) {
        var random = RandomMessages(seed: seed)
        for message in random.everyCase() {
            let bytes = content(frames([message])[0])
            for _ in 0..<40 {
                var changed = bytes
                for _ in 0...random.number(below: 3) {
                    changed[random.number(below: changed.count)] ^= 1 << UInt8(random.number(below: 8))
                }
                // Either is right; what counts is that nothing stops the process.
                do {
                    let decoded = try decode(changed)
                    #expect(decoded.messages.count + decoded.damaged > 0)
                } catch {
                    #expect(error is PeerCodecError)
                }
            }
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func `random bytes never stop the process`(seed: UInt64) {
        var random = RandomMessages(seed: seed)
        for _ in 0..<500 {
            var bytes = random.bytes(300)
            if !bytes.isEmpty { bytes[0] = UInt8(random.number(below: 70) | random.number(below: 2) << 7) }
            do { _ = try decode(bytes) } catch { #expect(error is PeerCodecError) }
        }
    }

    @Test func `a count larger than the frame is refused before anything is allocated`() {
        // A request for keys that claims four billion partitions.
        let bytes: [UInt8] = [65, 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]
        #expect(throws: PeerCodecError.truncated) { try decode(bytes) }
    }

    @Test func `an invalid key is refused`() throws {
        let header = Header(epoch: 1, ballot: .zero, purgeEpoch: 0)
        for (bytes, expected) in [
            ([], KeyError.empty), ([65, 0], .containsNUL), ([0xFF], .notUTF8),
            ([UInt8](repeating: 65, count: 481), .tooLong(481)),
        ] as [([UInt8], KeyError)] {
            let message = PeerMessage.machine(PartitionID(1), header, .query(round: 1, Key(unchecked: bytes)))
            #expect(throws: PeerCodecError.key(expected)) { try decode(content(frames([message])[0])) }
        }
    }

    @Test func `a NUL or a stray byte is found anywhere in a key`() throws {
        let header = Header(epoch: 1, ballot: .zero, purgeEpoch: 0)
        for length in [1, 7, 8, 9, 16, 23, 30] {
            for place in 0..<length {
                for (byte, expected) in [(0, KeyError.containsNUL), (0x80, .notUTF8)] as [(UInt8, KeyError)] {
                    var bytes = [UInt8](repeating: place.isMultiple(of: 2) ? 1 : 127, count: length)
                    bytes[place] = byte
                    let message = PeerMessage.machine(PartitionID(1), header, .query(round: 1, Key(unchecked: bytes)))
                    #expect(throws: PeerCodecError.key(expected)) { try decode(content(frames([message])[0])) }
                }
            }
        }
    }

    @Test func `an unknown message kind is refused`() {
        #expect(throws: PeerCodecError.unknownTag(.message, 100)) { try decode([100]) }
        #expect(throws: PeerCodecError.unknownTag(.message, 0x80 | 100)) { try decode([0x80 | 100]) }
    }

    @Test func `a damaged record is left out and counted`() throws {
        let header = Header(epoch: 1, ballot: .zero, purgeEpoch: 0)
        let key = try Key("a")
        var record = Record(key: key, version: .zero, value: [1, 2, 3])
        record.value = [1, 2, 4]
        let messages: [Message] = [
            .accept(key, record), .confirm(round: 1), .copy(key, record), .known(round: 1, key, record),
            .known(round: 2, key, nil),
        ]
        let decoded = try decode(content(frames(messages.map { .machine(PartitionID(1), header, $0) })[0]))
        #expect(decoded.damaged == 3)
        let expected: [Message] = [.confirm(round: 1), .known(round: 2, key, nil)]
        #expect(
            decoded.messages.map(Compared.init)
                == expected.map { Compared(message: .machine(PartitionID(1), header, $0)) })
    }

    @Test func `nothing of a frame that can't be read as a whole is kept`() throws {
        var random = RandomMessages(seed: 3)
        let bytes = content(frames(random.everyCase())[0])
        var messages = random.everyCase()
        let before = messages.count
        #expect(throws: PeerCodecError.self) {
            try (bytes + [255]).withUnsafeBytes { try PeerCodec.decode($0, into: &messages) }
        }
        #expect(messages.count == before)
    }

    @Test func `what several messages have in common is said once`() throws {
        var random = RandomMessages(seed: 5)
        let (header, other) = (random.header(), random.header())
        let key = try Key("key")
        let messages: [PeerMessage] = [
            .machine(PartitionID(1), header, .confirm(round: 1)), .machine(PartitionID(1), header, .digest(round: 2)),
            .request(id: 1, .replica(PartitionID(9), key)), .machine(PartitionID(1), header, .copied(key, .zero)),
            .machine(PartitionID(2), header, .confirm(round: 3)), .machine(PartitionID(2), other, .confirm(round: 4)),
            .machine(PartitionID(2), other, .supported),
        ]
        var position = 0
        let frame = try #require(PeerCodec.frame(of: messages, from: &position, allocator: ByteBufferAllocator()))
        let decoded = try decode(content(frame.buffer))
        #expect(decoded.messages.map(Compared.init) == messages.map(Compared.init))
        #expect(frame.ownLengths == messages.map { PeerCodec.length(of: $0) }.reduce(0, +))
        #expect(frame.buffer.readableBytes == 5 + frame.ownLengths - 3 * 30)
    }

    @Test func `the ballots of a list are said when they change`() throws {
        let ballots = [1, 1, 2, 2, 1].map { Ballot(counter: $0, node: NodeID(3)) }
        let versions = ballots.enumerated().map { Version(ballot: $1, sequence: UInt64($0)) }
        let key = try Key("key")
        let page = WalkPage(entries: versions.map { WalkPage.Entry(key: key, version: $0) }, next: nil)
        let entries = (versions + [nil]).map { Recollection.Entry(key: key, version: $0) }
        let recollection = Recollection(digest: PartitionDigest(), entries: [entries[5]] + entries)
        let header = Header(epoch: 1, ballot: .zero, purgeEpoch: 0)
        let messages = [Message.walked(round: 1, page), .recalled(round: 1, recollection)].map {
            PeerMessage.machine(PartitionID(1), header, $0)
        }
        #expect(try decode(content(frames(messages)[0])).messages.map(Compared.init) == messages.map(Compared.init))
        let whole = (5 + 1 + 20) * 3 + (5 + 1 + 8) * 2
        #expect(PeerCodec.length(of: messages[0]) == 31 + 8 + 4 + whole + 2)
    }

    @Test func `what only repeats needs something before it`() throws {
        let header = Header(epoch: 1, ballot: .zero, purgeEpoch: 0)
        let confirm = PeerMessage.machine(PartitionID(1), header, .confirm(round: 7))
        let repeated = content(frames([confirm, confirm])[0]).suffix(9)
        #expect(repeated.first == UInt8(0x80 | 9))
        #expect(throws: PeerCodecError.malformed(.message)) { try decode(Array(repeated)) }
        // Requests have no header to repeat; and a version can't have the ballot of none.
        #expect(throws: PeerCodecError.self) {
            try decode(content(frames([confirm])[0]) + [0x80 | 66, 1, 0, 1, 0, 65])
        }
        let page = WalkPage(entries: [WalkPage.Entry(key: try Key("a"), version: .zero)], next: nil)
        var walked = content(frames([.machine(PartitionID(1), header, .walked(round: 1, page))])[0])
        #expect(walked[31 + 8 + 4 + 3] == 1)
        walked[31 + 8 + 4 + 3] = 2
        #expect(throws: PeerCodecError.malformed(.message)) { try decode(walked) }
        walked[31 + 8 + 4 + 3] = 3
        #expect(throws: PeerCodecError.unknownTag(.version, 3)) { try decode(walked) }
    }

    @Test func `many messages become frames of bounded length`() throws {
        let header = Header(epoch: 1, ballot: .zero, purgeEpoch: 0)
        let key = try Key("key")
        let record = Record(key: key, version: .zero, value: [UInt8](repeating: 7, count: 10_000))
        let messages = [PeerMessage](repeating: .machine(PartitionID(1), header, .accept(key, record)), count: 100)
        let frames = frames(messages)
        #expect(frames.count > 2)
        #expect(frames.allSatisfy { $0.readableBytes < 300_000 })
        #expect(try frames.map { try decode(content($0)).messages.count }.reduce(0, +) == 100)
    }

    @Test func `a value of 64 MiB fits a frame`() throws {
        let key = try Key("key")
        let value = [UInt8](repeating: 7, count: 64 << 20)
        let message = PeerMessage.request(
            id: 1, .operation(PartitionID(1), .put(key, value: value, expiresAt: 0, .none), timeoutMilliseconds: 1))
        let frames = frames([message])
        #expect(frames.count == 1)
        #expect(frames[0].readableBytes <= PeerCodec.maximumFrameLength)
    }
}
