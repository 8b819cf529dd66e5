#if LMDB
import CLMDB
import KVProtocols

/// How records and metadata are laid out as LMDB keys and values.
///
///     record    key: partition u16 big-endian, key bytes                value: record header (38 bytes), value bytes
///     metadata  key: 0, name  or  1, partition u16 big-endian, name     value: CRC32C u32 little-endian, bytes
///
/// Big-endian, so that LMDB's byte order is the order of partitions and of keys within one.
enum LMDBLayout {
    static let prefixLength = 2
    static let longestKey = prefixLength + Key.maximumLength
    private static let checksumLength = 4

    /// Runs `body` with the LMDB key of a record; `tail` is cut off at the longest legal key.
    @inline(__always)
    static func withKey<Result, Failure: Error>(
        _ partition: PartitionID, _ tail: [UInt8], _ body: (inout MDB_val) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeTemporaryAllocation(byteCount: longestKey, alignment: 8) { buffer throws(Failure) in
            buffer[0] = UInt8(truncatingIfNeeded: partition.rawValue >> 8)
            buffer[1] = UInt8(truncatingIfNeeded: partition.rawValue)
            let count = min(tail.count, Key.maximumLength)
            tail.withUnsafeBytes { bytes in
                guard let from = bytes.baseAddress else { return }
                buffer.baseAddress?.advanced(by: prefixLength).copyMemory(from: from, byteCount: count)
            }
            var value = MDB_val(mv_size: prefixLength + count, mv_data: buffer.baseAddress)
            return try body(&value)
        }
    }

    @inline(__always)
    static func isKey(_ stored: MDB_val, of partition: PartitionID) -> Bool {
        let bytes = stored.bytes
        return bytes.count > prefixLength && bytes[0] == UInt8(truncatingIfNeeded: partition.rawValue >> 8)
            && bytes[1] == UInt8(truncatingIfNeeded: partition.rawValue)
    }

    @inline(__always)
    static func key(_ stored: MDB_val) -> Key {
        // Of a whole buffer: making an array of a slice of raw bytes goes byte by byte.
        Key(unchecked: Array(UnsafeRawBufferPointer(rebasing: stored.bytes[prefixLength...])))
    }

    /// The header, if the value is as long as it says.
    @inline(__always)
    static func header(_ stored: MDB_val) -> RecordHeader? {
        let bytes = stored.bytes
        guard let header = RecordHeader(bytes), bytes.count == RecordHeader.length + header.valueLength else {
            return nil
        }
        return header
    }

    /// The verified record of `key`; `nil` when it fails. One copy of the value.
    @inline(__always)
    static func record(_ stored: MDB_val, of key: Key) -> Record? {
        guard let header = header(stored) else { return nil }
        return header.verifiedRecord(
            of: key, value: UnsafeRawBufferPointer(rebasing: stored.bytes[RecordHeader.length...]))
    }

    // MARK: Metadata

    static func metadataKey(_ scope: MetadataScope, _ name: String) -> [UInt8] {
        switch scope {
        case .node: [0] + Array(name.utf8)
        case .partition(let partition): metadataPrefix(partition) + Array(name.utf8)
        }
    }

    static func metadataPrefix(_ partition: PartitionID) -> [UInt8] {
        [1, UInt8(truncatingIfNeeded: partition.rawValue >> 8), UInt8(truncatingIfNeeded: partition.rawValue)]
    }

    static func metadataValue(_ value: [UInt8], key: [UInt8]) -> [UInt8] {
        let checksum = CRC32C.checksum(key + value)
        return (0..<checksumLength).map { UInt8(truncatingIfNeeded: checksum >> UInt32($0 * 8)) } + value
    }

    /// The verified value; `nil` when it fails.
    static func metadata(_ stored: MDB_val, key: [UInt8]) -> [UInt8]? {
        let bytes = stored.bytes
        guard bytes.count >= checksumLength else { return nil }
        let checksum = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
        let value = Array(bytes.dropFirst(checksumLength))
        return CRC32C.checksum(key + value) == checksum ? value : nil
    }
}

extension MDB_val {
    /// Valid until the transaction ends or writes.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}

extension [UInt8] {
    /// Runs `body` with these bytes as an LMDB value, which must only be read.
    func withValue<Result, Failure: Error>(
        _ body: (inout MDB_val) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBufferPointer { bytes throws(Failure) in
            var value = MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            return try body(&value)
        }
    }
}
#endif
