internal import KVProtocols

/// The first block of a segment, little-endian, padded with zeros to 4,096 bytes:
///
///     0  magic u64   8  format u32   12 CRC32C u32 over bytes 16 to 55
///     16 folder id u64   24 segment number u64   32 first position u64   40 salt u64
///     48 u64: bit 0 is set when no frame will ever follow, which a clean stop promises; above it the length of the file,
///        or 0 when that was not noted
struct SegmentHeader: Hashable {
    static let length = 4096
    static let magic: UInt64 = 0x0A4C_4E52_4A2D_564B
    static let format: UInt32 = 1

    var folder: UInt64
    var number: UInt64
    var firstPosition: UInt64
    /// Of the whole file; a shorter one was cut off.
    var length: Int
    /// Left behind by a clean stop: there is nothing to read behind the header.
    var isEmpty = false

    /// Different for each use of a file in this folder: two uses differ in the low half, which alone guarantees
    /// different CRC states, so no frame of an earlier use can pass for a new one.
    var salt: UInt64 { folder & 0xFFFF_FFFF_0000_0000 | number & 0xFFFF_FFFF }

    var name: String { "segment-\(hexadecimal(number))" }

    var bytes: [UInt8] {
        var body = ByteWriter()
        for word in [folder, number, firstPosition, salt, UInt64(length) << 1 | (isEmpty ? 1 : 0)] {
            body.integer(word)
        }
        var writer = ByteWriter()
        writer.integer(SegmentHeader.magic)
        writer.integer(SegmentHeader.format)
        writer.integer(CRC32C.checksum(body.bytes))
        let used = writer.bytes + body.bytes
        return used + [UInt8](repeating: 0, count: SegmentHeader.length - used.count)
    }

    init(folder: UInt64, number: UInt64, firstPosition: UInt64, length: Int, isEmpty: Bool = false) {
        self.length = length
        self.isEmpty = isEmpty
        self.folder = folder
        self.number = number
        self.firstPosition = firstPosition
    }

    /// - Throws: `.damaged` for bytes that are no header, `.foreign` for a newer format.
    init(_ bytes: UnsafeRawBufferPointer, path: String) throws(StorageError) {
        var reader = ByteReader(bytes)
        guard reader.integer(UInt64.self) == SegmentHeader.magic, let format = reader.integer(UInt32.self) else {
            throw SegmentHeader.damaged(path)
        }
        guard format == SegmentHeader.format else {
            throw StorageError(
                .foreign,
                "the journal has format \(format), this program knows \(SegmentHeader.format); use the "
                    + "program that wrote it", path: path)
        }
        guard let checksum = reader.integer(UInt32.self), let body = reader.bytes(40),
            checksum == CRC32C.checksum(Array(body))
        else { throw SegmentHeader.damaged(path) }
        var fields = ByteReader(body)
        guard let folder = fields.integer(UInt64.self), let number = fields.integer(UInt64.self),
            let firstPosition = fields.integer(UInt64.self), fields.integer(UInt64.self) != nil,
            let rest = fields.integer(UInt64.self), let length = Int(exactly: rest >> 1),
            (1...SegmentHeader.highest).contains(number), (1...SegmentHeader.highest).contains(firstPosition)
        else { throw SegmentHeader.damaged(path) }
        self.init(
            folder: folder, number: number, firstPosition: firstPosition, length: length, isEmpty: rest & 1 == 1)
    }

    /// Numbers and positions grow by one: no journal gets here, and sums of what is read from files can't overflow.
    static let highest: UInt64 = 1 << 62

    /// The number in a segment's name; `nil` for any other name.
    static func number(of name: String) -> UInt64? {
        let prefix = "segment-"
        guard name.hasPrefix(prefix), name.utf8.count == prefix.utf8.count + 16 else { return nil }
        return UInt64(name.dropFirst(prefix.count), radix: 16)
    }

    private static func damaged(_ path: String) -> StorageError {
        Journal.damaged("the header of a segment fails verification", path: path)
    }
}

/// A segment that holds entries which the backend may still lack.
struct JournalSegment {
    var header: SegmentHeader
    var file: any StorageFile
    /// The position of its last entry; one less than the first while there is none.
    var lastPosition: UInt64
    /// Where its frames end.
    var end: Int
}
