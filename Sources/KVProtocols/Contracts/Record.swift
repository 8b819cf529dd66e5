/// A value or a tombstone, with the version that orders it, its expiry, and a checksum that also covers the key.
///
/// The checksum is computed once, where the record is made, and travels with it through peers and backends. Whoever
/// reads a record from a disk compares it with `isIntact(for:)` and serves nothing that fails.
public struct Record: Hashable, Sendable {
    public var version: Version
    /// `nil` is a tombstone: the key was deleted by this version.
    public var value: [UInt8]?
    /// Milliseconds since 1970 after which the value counts as deleted; 0 means never.
    public var expiresAt: UInt64
    public var checksum: UInt32

    public var isTombstone: Bool { value == nil }

    /// Takes a record as it was stored or received; nothing is checked.
    public init(version: Version, value: [UInt8]?, expiresAt: UInt64, checksum: UInt32) {
        self.version = version
        self.value = value
        self.expiresAt = expiresAt
        self.checksum = checksum
    }

    /// Makes a new record of `key` and computes its checksum. O(value length).
    public init(key: Key, version: Version, value: [UInt8]?, expiresAt: UInt64 = 0) {
        self.init(
            version: version, value: value, expiresAt: expiresAt,
            checksum: Record.checksum(key: key, version: version, value: value, expiresAt: expiresAt))
    }

    /// Whether the checksum matches the content and the key. O(value length).
    public func isIntact(for key: Key) -> Bool {
        checksum == Record.checksum(key: key, version: version, value: value, expiresAt: expiresAt)
    }

    /// CRC32C over the header of this record (checksum field zero), the key's length, the key and the value.
    public static func checksum(key: Key, version: Version, value: [UInt8]?, expiresAt: UInt64) -> UInt32 {
        var crc = checksumOfHead(key, version, isTombstone: value == nil, expiresAt)
        if let value { crc.update(value) }
        return crc.value
    }

    /// The running checksum of everything in front of the value.
    @inline(__always)
    fileprivate static func checksumOfHead(
        _ key: Key, _ version: Version, isTombstone: Bool, _ expiresAt: UInt64
    ) -> CRC32C {
        var crc = CRC32C()
        // One run over the numbers, not one for each: most records are short.
        let numbers = (
            version.ballot.counter.littleEndian, UInt64(version.ballot.node.rawValue).littleEndian,
            version.sequence.littleEndian, expiresAt.littleEndian,
            (UInt64(key.bytes.count) << 1 | (isTombstone ? 1 : 0)).littleEndian
        )
        withUnsafeBytes(of: numbers) { crc.update($0) }
        crc.update(key.bytes)
        return crc
    }
}

/// The fixed part of a record in the form in which every engine may store it in front of the value, and in which the
/// journal and the peers send it: 38 bytes, little-endian.
///
///     0  format (1)   1  flags (1: tombstone)   2  checksum u32   6  ballot counter u64   14  ballot node u32
///     18 sequence u64   26 expiry u64   34 value length u32
public struct RecordHeader: Hashable, Sendable {
    public static let length = 38
    public static let format: UInt8 = 1

    public var version: Version
    public var isTombstone: Bool
    public var expiresAt: UInt64
    public var checksum: UInt32
    public var valueLength: Int

    public init(_ record: Record) {
        version = record.version
        isTombstone = record.isTombstone
        expiresAt = record.expiresAt
        checksum = record.checksum
        valueLength = record.value?.count ?? 0
    }

    /// Reads a header from the first bytes of `bytes`; `nil` when they are too few or of another format.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= RecordHeader.length, bytes[0] == RecordHeader.format, bytes[1] <= 1 else { return nil }
        isTombstone = bytes[1] == 1
        checksum = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
        version = Version(
            ballot: Ballot(
                counter: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt64.self)),
                node: NodeID(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 14, as: UInt32.self)))),
            sequence: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 18, as: UInt64.self)))
        expiresAt = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 26, as: UInt64.self))
        valueLength = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 34, as: UInt32.self)))
    }

    /// Writes the header into the first 38 bytes of `bytes`, which must hold as many.
    public func write(to bytes: UnsafeMutableRawBufferPointer) {
        precondition(bytes.count >= RecordHeader.length, "a record header needs \(RecordHeader.length) bytes")
        bytes[0] = RecordHeader.format
        bytes[1] = isTombstone ? 1 : 0
        bytes.storeBytes(of: checksum.littleEndian, toByteOffset: 2, as: UInt32.self)
        bytes.storeBytes(of: version.ballot.counter.littleEndian, toByteOffset: 6, as: UInt64.self)
        bytes.storeBytes(of: version.ballot.node.rawValue.littleEndian, toByteOffset: 14, as: UInt32.self)
        bytes.storeBytes(of: version.sequence.littleEndian, toByteOffset: 18, as: UInt64.self)
        bytes.storeBytes(of: expiresAt.littleEndian, toByteOffset: 26, as: UInt64.self)
        bytes.storeBytes(of: UInt32(valueLength).littleEndian, toByteOffset: 34, as: UInt32.self)
    }

    /// The 38 bytes as an array.
    public var bytes: [UInt8] {
        var result = [UInt8](repeating: 0, count: RecordHeader.length)
        result.withUnsafeMutableBytes { write(to: $0) }
        return result
    }

    /// The record of this header and `value` (ignored for a tombstone); not verified.
    public func record(value: [UInt8]) -> Record {
        Record(version: version, value: isTombstone ? nil : value, expiresAt: expiresAt, checksum: checksum)
    }

    /// The record of this header and a copy of `value`, if its checksum fits it and `key`; `nil` when it doesn't.
    ///
    /// For engines: cheaper than copying and then calling `isIntact`, since each part of a long value is checked while it
    /// is in the processor's cache. What is checked is the copy, so `value` may lie in memory that others can change.
    /// O(value length).
    public func verifiedRecord(of key: Key, value: UnsafeRawBufferPointer) -> Record? {
        var crc = Record.checksumOfHead(key, version, isTombstone: isTombstone, expiresAt)
        guard !isTombstone else { return crc.value == checksum ? record(value: []) : nil }
        let copy = [UInt8](unsafeUninitializedCapacity: value.count) { buffer, filled in
            let target = UnsafeMutableRawBufferPointer(buffer)
            while filled < value.count {
                let end = min(filled + RecordHeader.copiedAtOnce, value.count)
                let part = UnsafeMutableRawBufferPointer(rebasing: target[filled..<end])
                part.copyMemory(from: UnsafeRawBufferPointer(rebasing: value[filled..<end]))
                crc.update(UnsafeRawBufferPointer(part))
                filled = end
            }
        }
        return crc.value == checksum ? record(value: copy) : nil
    }

    /// Fits into the first cache of any processor together with its source.
    private static let copiedAtOnce = 12 << 10
}
