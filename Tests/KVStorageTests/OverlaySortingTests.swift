import KVProtocols
import Testing

@testable import KVStorage

@Suite struct OverlaySortingTests {
    /// Few different bytes and lengths, so that keys share beginnings, are beginnings of others, and end in zeros.
    @Test(arguments: [[], Array("a beginning/".utf8), [0, 0, 0, 0, 0, 0, 0, 0, 0]])
    func `entries come in order of keys, whatever the keys share`(beginning: [UInt8]) {
        var random = Randomness(11)
        for _ in 0..<300 {
            var partition = OverlayPartition()
            var keys: Set<[UInt8]> = []
            for _ in 0...Int.random(in: 0..<40, using: &random) {
                let end = (0..<Int.random(in: 0..<12, using: &random)).map { _ in
                    UInt8.random(in: 0..<3, using: &random)
                }
                let bytes = beginning + end
                if bytes.isEmpty { continue }
                keys.insert(bytes)
                partition.entries[OverlayKey(Key(unchecked: bytes))] = .purged
            }
            let sorted = partition.sorted().map(\.key.key.bytes)
            #expect(sorted == keys.sorted { $0.lexicographicallyPrecedes($1) })
        }
    }
}
