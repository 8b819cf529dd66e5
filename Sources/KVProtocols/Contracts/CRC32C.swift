/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), eight bytes at a step ("slicing by 8", Kounavis and Berry,
/// ISCC 2005). A running value: update with pieces in order, then read `value`.
public struct CRC32C: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    public init() {}

    public var value: UInt32 { ~state }

    public mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    public mutating func update(_ number: UInt64) {
        state = CRC32C.tables.withUnsafeBufferPointer { CRC32C.step(state, number, $0) }
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        state = CRC32C.tables.withUnsafeBufferPointer { tables in
            var crc = state
            var offset = 0
            while bytes.count - offset >= 8 {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                crc = CRC32C.step(crc, word, tables)
                offset += 8
            }
            while offset < bytes.count {
                crc = tables[Int((crc ^ UInt32(bytes[offset])) & 0xFF)] ^ crc >> 8
                offset += 1
            }
            return crc
        }
    }

    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var crc = CRC32C()
        crc.update(bytes)
        return crc.value
    }

    @inline(__always)
    private static func step(_ crc: UInt32, _ word: UInt64, _ tables: UnsafeBufferPointer<UInt32>) -> UInt32 {
        let mixed = word ^ UInt64(crc)
        var result: UInt32 = 0
        for lane in 0..<8 {
            let byte = Int(truncatingIfNeeded: mixed >> (UInt64(lane) * 8)) & 0xFF
            result ^= tables[(7 - lane) << 8 | byte]
        }
        return result
    }

    /// Eight tables of 256 in a row; table k gives the effect of a byte that k more bytes follow.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var crc = UInt32(index)
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            tables[index] = crc
        }
        for index in 256..<(8 * 256) {
            let previous = tables[index - 256]
            tables[index] = tables[Int(previous & 0xFF)] ^ previous >> 8
        }
        return tables
    }()
}
