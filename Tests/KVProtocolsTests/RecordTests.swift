import KVProtocols
import Testing

@Suite struct RecordTests {
    private let version = Version(
        ballot: Ballot(counter: 0x0102_0304_0506_0708, node: NodeID(0x0A0B_0C0D)), sequence: 42)

    @Test("CRC-32C matches the published vectors")
    func checksums() {
        // RFC 3720, appendix B.4, and the check value of the catalogue of parametrised CRC algorithms.
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
        #expect(CRC32C.checksum((0..<32).reversed().map { UInt8($0) }) == 0x113F_DB5C)
        #expect(CRC32C.checksum([]) == 0)
    }

    @Test("a checksum in pieces is that of the whole")
    func pieces() {
        let bytes = (0..<100).map { UInt8($0 &* 7 & 0xFF) }
        for cut in 0...100 {
            var crc = CRC32C()
            crc.update(Array(bytes[..<cut]))
            crc.update(Array(bytes[cut...]))
            #expect(crc.value == CRC32C.checksum(bytes))
        }
        var number = CRC32C()
        number.update(0x0807_0605_0403_0201 as UInt64)
        #expect(number.value == CRC32C.checksum([1, 2, 3, 4, 5, 6, 7, 8]))
    }

    @Test("a header survives its 38 bytes", arguments: [nil, [], [1, 2, 3]] as [[UInt8]?])
    func header(value: [UInt8]?) throws {
        let record = Record(key: try Key("k"), version: version, value: value, expiresAt: .max)
        let header = RecordHeader(record)
        let bytes = header.bytes
        #expect(bytes.count == RecordHeader.length)
        #expect(bytes.withUnsafeBytes { RecordHeader($0) } == header)
        #expect(header.record(value: value ?? []) == record)
    }

    @Test("the layout of a header is fixed")
    func layout() {
        let header = RecordHeader(Record(version: version, value: [9, 9], expiresAt: 5, checksum: 0x1122_3344))
        let expected: [UInt8] = [
            1, 0, 0x44, 0x33, 0x22, 0x11, 8, 7, 6, 5, 4, 3, 2, 1, 0x0D, 0x0C, 0x0B, 0x0A, 42, 0, 0, 0, 0, 0, 0, 0,
            5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
        ]
        #expect(header.bytes == expected)
    }

    @Test("bytes that are no header are refused")
    func malformed() throws {
        var bytes = RecordHeader(Record(key: try Key("k"), version: version, value: [])).bytes
        #expect(bytes.dropLast().withUnsafeBytes { RecordHeader($0) } == nil)
        bytes[0] = 2
        #expect(bytes.withUnsafeBytes { RecordHeader($0) } == nil)
        bytes[0] = 1
        bytes[1] = 2
        #expect(bytes.withUnsafeBytes { RecordHeader($0) } == nil)
    }

    @Test("the checksum covers key, version, value, expiry and whether it is a tombstone")
    func coverage() throws {
        let key = try Key("k")
        let record = Record(key: key, version: version, value: [1, 2], expiresAt: 7)
        #expect(record.isIntact(for: key))
        #expect(!record.isIntact(for: try Key("l")))
        var changed = record
        changed.value = [1, 3]
        #expect(!changed.isIntact(for: key))
        changed = record
        changed.expiresAt = 8
        #expect(!changed.isIntact(for: key))
        changed = record
        changed.version.sequence += 1
        #expect(!changed.isIntact(for: key))
        var empty = Record(key: key, version: version, value: [])
        empty.value = nil
        #expect(!empty.isIntact(for: key))
        // Bytes that move between key and value change the checksum.
        #expect(
            Record(key: try Key("ab"), version: version, value: [99]).checksum
                != Record(key: try Key("a"), version: version, value: [98, 99]).checksum)
    }

    @Test("versions are ordered by ballot counter, node and sequence")
    func order() {
        func version(_ counter: UInt64, _ node: UInt32, _ sequence: UInt64) -> Version {
            Version(ballot: Ballot(counter: counter, node: NodeID(node)), sequence: sequence)
        }
        let ascending = [Version.zero, version(1, 1, 9), version(1, 2, 1), version(1, 2, 2), version(2, 1, 1)]
        #expect(ascending.sorted() == ascending)
        #expect(version(1, 2, 3).description == "1.2.3")
    }

    @Test("the text form of a version is read back, and nothing else is")
    func text() {
        #expect(Version(version.description) == version)
        for text in [
            "", "1", "1.2", "1.2.3.4", "1..3", "a.b.c", "-1.2.3", "1.4294967296.3", " 1.2.3",
            "18446744073709551616.1.1",
        ] {
            #expect(Version(text) == nil, "\(text)")
        }
    }
}
