import Testing

@testable import KVConfiguration

@Suite struct DamagedTextTests {
    /// Sebastiano Vigna's SplitMix64: the same seed gives the same damage.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            return mixed ^ mixed >> 31
        }
    }

    @Test(arguments: UInt64(1)...8)
    func `a damaged text is refused or read, and never traps`(seed: UInt64) {
        var generator = Generator(state: seed)
        let pieces = [
            "{", "}", "[", "]", "\"", ",", ":", "-1", "1e9", "99999999999999999999", "null", "\\u", "é", "true",
        ]
        for _ in 0..<250 {
            var bytes = Array(Fixture.minimal.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let start = Int.random(in: 0..<bytes.count, using: &generator)
                let end = min(bytes.count, start + Int.random(in: 0...6, using: &generator))
                let piece = pieces.randomElement(using: &generator) ?? ""
                bytes.replaceSubrange(start..<end, with: Array(piece.utf8))
            }
            let text = String(decoding: bytes, as: UTF8.self)
            do throws(ConfigurationProblems) {
                let cluster = try Fixture.load(text)
                let again = try? Fixture.load(cluster.json)
                #expect(again == cluster, "seed \(seed)")
            } catch {
                #expect(!error.problems.isEmpty && !error.description.isEmpty, "seed \(seed)")
            }
        }
    }
}
