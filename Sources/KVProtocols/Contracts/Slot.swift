/// Where a key lives: CRC16 (XMODEM) of the key, or of its `{tag}`, modulo 16384, as Redis Cluster numbers slots.
/// Source: the Redis Cluster specification, key distribution model and hash tags.
public struct Slot: RawRepresentable, Hashable, Comparable, Sendable {
    public static let count = 16384

    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// O(key length).
    public init(of key: Key) {
        let tag = Slot.tag(of: key.bytes)
        rawValue = Slot.crc16(key.bytes[tag]) % UInt16(Slot.count)
    }

    /// The partition that holds this slot when there are `partitions` of them, a power of two from 1 to 16384.
    public func partition(of partitions: Int) -> PartitionID {
        PartitionID(UInt16(Int(rawValue) / (Slot.count / partitions)))
    }

    public static func < (left: Slot, right: Slot) -> Bool { left.rawValue < right.rawValue }

    /// The bytes between the first `{` and the first `}` after it, if there are any; otherwise the whole key.
    private static func tag(of bytes: [UInt8]) -> Range<Int> {
        guard let open = bytes.firstIndex(of: UInt8(ascii: "{")),
            let close = bytes[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        else { return bytes.indices }
        return open + 1..<close
    }

    private static func crc16(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var crc: UInt16 = 0
        for byte in bytes {
            crc = crc << 8 ^ table[Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte)]
        }
        return crc
    }

    private static let table: [UInt16] = (0..<256).map { index in
        var crc = UInt16(index) << 8
        for _ in 0..<8 {
            crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1
        }
        return crc
    }
}

extension Key {
    /// The partition that holds this key when there are `partitions` of them.
    public func partition(of partitions: Int) -> PartitionID {
        Slot(of: self).partition(of: partitions)
    }
}
