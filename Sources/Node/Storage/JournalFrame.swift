internal import KVProtocols

/// What one `commit` hands to the journal: entries behind one another, in the memory from which they are written.
///
/// On disk, little-endian, padded with zeros to a multiple of 8 bytes:
///
///     0  magic u32   4  CRC32C u32   8  payload length u32   12  number of entries u32
///     16 position of the first entry u64   24  position that was durable before this frame was written u64
///     32 payload
///
/// The CRC starts with the salt of the segment and covers everything from byte 8 on: what an earlier use of the file
/// left behind never passes. The durable position lets recovery tell a torn end (which nobody was told about) from
/// damage to entries that were acknowledged.
///
/// `@unchecked Sendable`: owned by one thread at a time; ownership passes through the journal thread's monitor.
final class JournalFrame: @unchecked Sendable {
    static let headerLength = 32
    static let magic: UInt32 = 0x4D52_464B
    static let alignment = 8

    private var memory: UnsafeMutableRawBufferPointer
    /// Bytes in use, header included, padding not.
    private(set) var count = JournalFrame.headerLength
    private(set) var entries: UInt32 = 0
    private(set) var firstPosition: UInt64

    init(firstPosition: UInt64, capacity: Int = 16 << 10) {
        self.firstPosition = firstPosition
        memory = .allocate(byteCount: max(capacity, 64), alignment: 16)
    }

    deinit { memory.deallocate() }

    var capacity: Int { memory.count }
    var isEmpty: Bool { entries == 0 }
    var lastPosition: UInt64 { firstPosition + UInt64(entries) - 1 }
    /// What the frame takes in a segment.
    var paddedLength: Int { JournalFrame.padded(count) }

    static func padded(_ count: Int) -> Int { (count + alignment - 1) & ~(alignment - 1) }

    /// Empties the frame for another use; the memory stays.
    func reset(firstPosition: UInt64) {
        self.firstPosition = firstPosition
        count = JournalFrame.headerLength
        entries = 0
    }

    /// Room for one more entry of `length` bytes, which the caller fills at once. Amortised O(length).
    func appendEntry(length: Int) -> UnsafeMutableRawBufferPointer {
        let needed = JournalFrame.padded(count + length)
        if needed > memory.count {
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(needed, memory.count * 2), alignment: 16)
            larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<count]))
            memory.deallocate()
            memory = larger
        }
        defer {
            count += length
            entries += 1
        }
        return UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + length])
    }

    /// Fills in the header for a segment with this salt. May be repeated for another segment or durable position.
    /// The bytes stay valid until the frame changes.
    func seal(salt: UInt64, durable: UInt64) -> UnsafeRawBufferPointer {
        for index in count..<paddedLength { memory[index] = 0 }
        memory.storeBytes(of: JournalFrame.magic.littleEndian, toByteOffset: 0, as: UInt32.self)
        memory.storeBytes(
            of: UInt32(count - JournalFrame.headerLength).littleEndian, toByteOffset: 8, as: UInt32.self)
        memory.storeBytes(of: entries.littleEndian, toByteOffset: 12, as: UInt32.self)
        memory.storeBytes(of: firstPosition.littleEndian, toByteOffset: 16, as: UInt64.self)
        memory.storeBytes(of: durable.littleEndian, toByteOffset: 24, as: UInt64.self)
        let checksum = JournalFrame.checksum(UnsafeRawBufferPointer(rebasing: memory[8..<count]), salt: salt)
        memory.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
        return UnsafeRawBufferPointer(rebasing: memory[..<paddedLength])
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer, salt: UInt64) -> UInt32 {
        var crc = CRC32C()
        crc.update(salt)
        crc.update(bytes)
        return crc.value
    }
}

/// A frame found in a segment.
struct StoredFrame {
    var firstPosition: UInt64
    var entries: UInt32
    var durable: UInt64
    var payload: UnsafeRawBufferPointer
    /// With header and padding.
    var length: Int

    var lastPosition: UInt64 { firstPosition + UInt64(entries) - 1 }

    /// Whether a frame could start at `offset` that was written when `position` was durable; looks at two fields.
    static func mayStart(_ segment: UnsafeRawBufferPointer, at offset: Int, durableFrom position: UInt64) -> Bool {
        guard segment.count - offset >= JournalFrame.headerLength else { return false }
        guard
            UInt32(littleEndian: segment.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) == JournalFrame.magic
        else { return false }
        return UInt64(littleEndian: segment.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self)) >= position
    }

    /// `nil` unless a whole frame with a right checksum starts at `offset`.
    init?(_ segment: UnsafeRawBufferPointer, at offset: Int, salt: UInt64) {
        guard offset >= 0, segment.count - offset >= JournalFrame.headerLength else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: segment[offset...]))
        guard reader.integer(UInt32.self) == JournalFrame.magic, let checksum = reader.integer(UInt32.self),
            let payloadLength = reader.integer(UInt32.self), let entries = reader.integer(UInt32.self), entries > 0,
            let first = reader.integer(UInt64.self), let durable = reader.integer(UInt64.self),
            first > durable, first <= UInt64.max - UInt64(entries), let payload = reader.bytes(Int(payloadLength))
        else { return nil }
        let end = offset + JournalFrame.headerLength + Int(payloadLength)
        let covered = UnsafeRawBufferPointer(rebasing: segment[offset + 8..<end])
        guard JournalFrame.checksum(covered, salt: salt) == checksum else { return nil }
        self.firstPosition = first
        self.entries = entries
        self.durable = durable
        self.payload = payload
        self.length = JournalFrame.padded(end - offset)
    }
}
