import KVProtocols
import Testing

@Suite struct KeyTests {
    @Test("slots are those of Redis Cluster")
    func slots() throws {
        // CRC16 of "123456789" is 0x31C3 in the Redis Cluster specification; the others are answers of CLUSTER KEYSLOT.
        #expect(Slot(of: try Key("123456789")).rawValue == 0x31C3)
        #expect(Slot(of: try Key("foo")).rawValue == 12182)
        #expect(Slot(of: try Key("bar")).rawValue == 5061)
        #expect(Slot(of: try Key("hello")).rawValue == 866)
    }

    @Test("a hash tag alone decides the slot")
    func tags() throws {
        func slot(_ text: String) throws -> Slot { Slot(of: try Key(text)) }
        #expect(try slot("{user1000}.following") == slot("user1000"))
        #expect(try slot("{user1000}.following") == slot("{user1000}.followers"))
        #expect(try slot("foo{{bar}}zap") == slot("{bar"))
        #expect(try slot("foo{bar}{zap}") == slot("bar"))
        // An empty tag or one that doesn't end is none: the whole key counts, braces included.
        #expect(try slot("foo{}{bar}") != slot("bar"))
        #expect(try slot("foo{}{bar}") != slot("foo{}{baz}"))
        #expect(try slot("foo{bar") != slot("bar"))
        #expect(try slot("}foo{bar}") == slot("bar"))
    }

    @Test("partitions are equal ranges of slots", arguments: [1, 2, 64, 16384])
    func partitions(count: Int) {
        let width = Slot.count / count
        for raw in [0, width - 1, width % Slot.count, Slot.count - 1] {
            #expect(Int(Slot(rawValue: UInt16(raw)).partition(of: count).rawValue) == raw / width)
        }
    }

    @Test("a key is 1 to 480 bytes of UTF-8 without NUL")
    func validation() throws {
        #expect(throws: KeyError.empty) { try Key("") }
        #expect(throws: KeyError.tooLong(481)) { try Key(String(repeating: "k", count: 481)) }
        #expect(throws: KeyError.tooLong(482)) { try Key(String(repeating: "é", count: 241)) }
        #expect(throws: KeyError.containsNUL) { try Key("a\0b") }
        #expect(throws: KeyError.notUTF8) { try Key(validating: [0xC3]) }
        #expect(throws: KeyError.notUTF8) { try Key(validating: [0xED, 0xA0, 0x80]) }
        #expect(try Key(String(repeating: "é", count: 240)).bytes.count == 480)
    }

    @Test("keys are ordered by bytes, and differ when their bytes do")
    func order() throws {
        #expect(try Key("a") < Key("aa"))
        #expect(try Key("B") < Key("a"))
        #expect(try Key("z") < Key("é"))
        #expect(try Key("é") != Key("e\u{301}"))
    }

    @Test("operations outside the limits are invalid")
    func limits() throws {
        func isValid(_ operation: StorageOperation) -> Bool {
            do {
                try operation.validate(partitions: 8, maximumValueLength: 100)
                return true
            } catch {
                return false
            }
        }
        let key = try Key("k")
        func put(_ count: Int, _ partition: UInt16 = 0) -> StorageOperation {
            .put(
                PartitionID(partition), key,
                Record(key: key, version: .zero, value: [UInt8](repeating: 0, count: count)))
        }
        #expect(isValid(put(100)) && !isValid(put(101)))
        #expect(isValid(put(1, 7)) && !isValid(put(1, 8)))
        #expect(!isValid(.purge(PartitionID(0), Key(unchecked: []))))
        #expect(isValid(.metadata(.node, "a_0", nil)))
        for name in ["", "A", "a-b", "é", "a/b", String(repeating: "a", count: 65)] {
            #expect(!isValid(.metadata(.node, name, nil)), "\(name)")
        }
    }
}
