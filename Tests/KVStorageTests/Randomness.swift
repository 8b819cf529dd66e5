/// A small generator of numbers (SplitMix64): the same seed gives the same history.
struct Randomness: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}

extension DiskImage {
    /// After a power cut that was drawn.
    func crashed(_ randomness: inout Randomness) -> DiskImage {
        let fates = (0..<uncertain).map { _ -> Fate in
            switch Int.random(in: 0..<10, using: &randomness) {
            case 0..<5: .kept
            case 5..<9: .lost
            default: .torn(Int.random(in: 1..<DiskImage.sector, using: &randomness))
            }
        }
        var image = self
        image.crash(fates)
        return image
    }

    /// After every power cut that is possible at this moment, as far as they are few: else nothing lost, everything lost,
    /// only the first things kept, all but one thing kept, and some that are drawn.
    func crashes(drawn: Int, _ randomness: inout Randomness) -> [DiskImage] {
        let count = uncertain
        if count <= 4 {
            return (0..<1 << count).map { bits in
                crashed((0..<count).map { bits >> $0 & 1 == 1 ? .kept : .lost })
            }
        }
        var images = [crashed([Fate](repeating: .kept, count: count)), crashed([])]
        let middle = Int.random(in: 1..<count, using: &randomness)
        images.append(crashed((0..<count).map { $0 < middle ? .kept : .lost }))
        images.append(crashed((0..<count).map { $0 == middle ? .lost : .kept }))
        for _ in 0..<drawn { images.append(crashed(&randomness)) }
        return images
    }

    private func crashed(_ fates: [Fate]) -> DiskImage {
        var image = self
        image.crash(fates)
        return image
    }
}
