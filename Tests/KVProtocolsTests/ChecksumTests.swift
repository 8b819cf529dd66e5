@testable import KVProtocols
import Testing

@Suite struct ChecksumTests {
    /// Bit by bit, as the polynomial says: slow and obviously right.
    private static func reference(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }

    private static let noise: [UInt8] = {
        var state: UInt64 = 7
        return (0..<20_000).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 40)
        }
    }()

    /// Around the lengths at which the work is cut into lanes, and several times those.
    @Test("any length gives the checksum of the definition, from any address")
    func lengths() {
        for length in [0, 1, 7, 8, 9, 1023, 1024, 3071, 3072, 3073, 3080, 6143, 6144, 6145, 9216, 12_345, 19_990] {
            for start in [0, 1, 3, 8] {
                let bytes = ChecksumTests.noise[start..<start + length]
                var crc = CRC32C()
                ChecksumTests.noise.withUnsafeBytes {
                    crc.update(UnsafeRawBufferPointer(rebasing: $0[start..<start + length]))
                }
                #expect(crc.value == ChecksumTests.reference(bytes), "\(length) bytes from \(start)")
                let software = ChecksumTests.noise.withUnsafeBytes {
                    CRC32C.bySoftware(0xFFFF_FFFF, UnsafeRawBufferPointer(rebasing: $0[start..<start + length]))
                }
                #expect(~software == crc.value, "tables: \(length) bytes from \(start)")
            }
        }
    }

    @Test("a verified record is the record, and any flipped bit is noticed", arguments: [0, 1, 100, 12_288, 15_000])
    func verified(length: Int) throws {
        let key = try Key("a key")
        let value = Array(ChecksumTests.noise[..<length])
        let version = Version(ballot: Ballot(counter: 9, node: NodeID(2)), sequence: 77)
        let record = Record(key: key, version: version, value: value, expiresAt: 5)
        let header = RecordHeader(record)
        #expect(value.withUnsafeBytes { header.verifiedRecord(of: key, value: $0) } == record)
        #expect(value.withUnsafeBytes { header.verifiedRecord(of: Key(unchecked: [1]), value: $0) } == nil)
        for place in Set([0, length / 2, length - 1]) where value.indices.contains(place) {
            var damaged = value
            damaged[place] ^= 0x10
            #expect(damaged.withUnsafeBytes { header.verifiedRecord(of: key, value: $0) } == nil)
        }
        var other = header
        other.expiresAt = 6
        #expect(value.withUnsafeBytes { other.verifiedRecord(of: key, value: $0) } == nil)
        let tombstone = Record(key: key, version: version, value: nil)
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        #expect(RecordHeader(tombstone).verifiedRecord(of: key, value: empty) == tombstone)
    }

    @Test("a batch is legal when each operation is")
    func batches() throws {
        let key = try Key("k")
        let record = Record(key: key, version: .zero, value: [1, 2, 3])
        let good: [StorageOperation] = [
            .put(PartitionID(1), key, record), .purge(PartitionID(0), key), .metadata(.node, "m", nil),
            .wipe(PartitionID(1)),
        ]
        try StorageOperation.validate(good, partitions: 2, maximumValueLength: 3)
        let bad: [StorageOperation] = [
            .put(PartitionID(2), key, record), .put(PartitionID(1), Key(unchecked: []), record),
            .put(PartitionID(1), Key(unchecked: [UInt8](repeating: 65, count: 481)), record),
            .purge(PartitionID(2), key),
            .metadata(.node, "M", nil), .metadata(.partition(PartitionID(2)), "m", nil), .wipe(PartitionID(9)),
        ]
        for operation in bad {
            for batch in [[operation], good + [operation], [operation] + good] {
                let error = #expect(throws: StorageError.self) {
                    try StorageOperation.validate(batch, partitions: 2, maximumValueLength: 3)
                }
                #expect(error?.code == .invalid)
            }
        }
        #expect(throws: StorageError.self) {
            try StorageOperation.validate(good, partitions: 2, maximumValueLength: 2)
        }
    }
}
