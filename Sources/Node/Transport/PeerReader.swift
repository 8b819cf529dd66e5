internal import KVProtocols

/// Reads parts from bytes of a peer. Every length is compared with what is left before anything is read or allocated;
/// nothing that the bytes say can stop the process. Valid only as long as the memory it was made of.
struct PeerReader {
    private var cursor: UnsafeRawPointer?
    private(set) var left: Int
    /// Of the machine's message before.
    var said: PeerContext?

    init(_ bytes: UnsafeRawBufferPointer) {
        cursor = bytes.baseAddress
        left = bytes.count
    }

    /// The next `length` bytes, for reads at fixed places within them.
    @inline(__always)
    mutating func take(_ length: Int) throws(PeerCodecError) -> UnsafeRawBufferPointer {
        guard left >= length, let start = cursor else { throw .truncated }
        cursor = start + length
        left -= length
        return UnsafeRawBufferPointer(start: start, count: length)
    }

    @inline(__always)
    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws(PeerCodecError) -> Number {
        try take(MemoryLayout<Number>.size).number(at: 0, type)
    }

    @inline(__always)
    mutating func flag() throws(PeerCodecError) -> Bool {
        switch try number(UInt8.self) {
        case 0: return false
        case 1: return true
        case let other: throw .unknownTag(.flag, other)
        }
    }

    /// A count of elements that take at least `minimumSize` bytes each, so that it can't be more than what is left.
    mutating func count(of minimumSize: Int) throws(PeerCodecError) -> Int {
        let count = Int(try number(UInt32.self))
        guard count <= left / minimumSize else { throw .truncated }
        return count
    }

    @inline(__always)
    mutating func bytes(_ length: Int) throws(PeerCodecError) -> [UInt8] {
        [UInt8](try take(length))
    }

    @inline(__always)
    mutating func key() throws(PeerCodecError) -> Key {
        try key(length: Int(try number(UInt16.self)))
    }

    mutating func optionalKey() throws(PeerCodecError) -> Key? {
        let length = Int(try number(UInt16.self))
        return length == 0 ? nil : try key(length: length)
    }

    @inline(__always)
    private mutating func key(length: Int) throws(PeerCodecError) -> Key {
        guard length <= Key.maximumLength else { throw .key(.tooLong(length)) }
        let part = try take(length)
        // ASCII without NUL is a valid key; it needs no decoding to know that.
        if part.isPlain { return Key(unchecked: [UInt8](part)) }
        do throws(KeyError) {
            return try Key(validating: [UInt8](part))
        } catch {
            throw .key(error)
        }
    }

    @inline(__always)
    mutating func ballot() throws(PeerCodecError) -> Ballot {
        try take(12).ballot(at: 0)
    }

    @inline(__always)
    mutating func version() throws(PeerCodecError) -> Version {
        let part = try take(20)
        return Version(ballot: part.ballot(at: 0), sequence: part.number(at: 12, UInt64.self))
    }

    /// Not verified: the reader need not know the key.
    @inline(__always)
    mutating func record() throws(PeerCodecError) -> Record {
        guard let header = RecordHeader(try take(RecordHeader.length)) else { throw .malformed(.record) }
        guard !header.isTombstone else {
            guard header.valueLength == 0 else { throw .malformed(.record) }
            return header.record(value: [])
        }
        return header.record(value: try bytes(header.valueLength))
    }

    mutating func nodes() throws(PeerCodecError) -> [NodeID] {
        let count = try count(of: 4)
        let part = try take(count * 4)
        return (0..<count).map { NodeID(part.number(at: $0 * 4, UInt32.self)) }
    }

    mutating func partitions() throws(PeerCodecError) -> [PartitionID] {
        let count = try count(of: 2)
        let part = try take(count * 2)
        return (0..<count).map { PartitionID(part.number(at: $0 * 2, UInt16.self)) }
    }

    mutating func configuration() throws(PeerCodecError) -> Configuration {
        let epoch = try number(UInt64.self)
        let members = try nodes()
        let previous = try flag() ? try nodes() : nil
        let count = try count(of: 12)
        let part = try take(count * 12)
        let joined = (0..<count).map { index in
            Configuration.Joined(
                node: NodeID(part.number(at: index * 12, UInt32.self)),
                epoch: part.number(at: index * 12 + 4, UInt64.self))
        }
        return Configuration(epoch: epoch, members: members, previous: previous, joined: joined)
    }

    mutating func digest() throws(PeerCodecError) -> PartitionDigest {
        let part = try take(PartitionDigest.bucketCount * 8)
        let buckets = (0..<PartitionDigest.bucketCount).map { part.number(at: $0 * 8, UInt64.self) }
        guard let digest = PartitionDigest(buckets: buckets) else { throw .malformed(.message) }
        return digest
    }
}

extension UnsafeRawBufferPointer {
    /// The little-endian number at a place that was checked to be within.
    @inline(__always)
    func number<Number: FixedWidthInteger>(at offset: Int, _ type: Number.Type) -> Number {
        Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    @inline(__always)
    func ballot(at offset: Int) -> Ballot {
        Ballot(counter: number(at: offset, UInt64.self), node: NodeID(number(at: offset + 8, UInt32.self)))
    }

    /// Whether there are bytes, each of them from 1 to 127.
    @inline(__always)
    var isPlain: Bool {
        var offset = 0
        var rest: UInt64 = 0
        while count - offset >= 8 {
            let word = loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            // The high bit of a byte is set in `word` when it is above 127, in the difference when it is 0.
            rest |= (word | (word &- 0x0101_0101_0101_0101)) & 0x8080_8080_8080_8080
            offset += 8
        }
        while offset < count {
            let byte = self[offset]
            if byte == 0 || byte > 127 { return false }
            offset += 1
        }
        return rest == 0 && count > 0
    }
}
