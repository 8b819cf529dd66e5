import Foundation
import KVBackendBench

/// Which records a client asks for.
package enum LoadDistribution: String, CaseIterable, Sendable {
    case uniform
    /// A few records much more often than others, and those scattered over all of them.
    case zipfian
    /// As zipfian, the newest most often.
    case latest
    /// One after the other, from the first again after the last.
    case sequential
}

/// Draws ranks from a zipfian distribution: rank k with a probability in proportion to 1 / (k + 1)^0.99, as YCSB does.
///
/// Source: Gray and others, "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994.
struct ZipfRanks: Sendable {
    private static let theta = 0.99
    private let count: Double
    private let total: Double
    private let eta: Double

    /// O(count): about a second for 30 million.
    init(count: Int) {
        let theta = ZipfRanks.theta
        var total = 0.0
        for rank in 1...max(count, 2) { total += pow(Double(rank), -theta) }
        self.count = Double(max(count, 2))
        self.total = total
        eta = (1 - pow(2 / self.count, 1 - theta)) / (1 - (1 + pow(0.5, theta)) / total)
    }

    /// - Parameter uniform: from 0 up to, not including, 1.
    func rank(_ uniform: Double) -> Int {
        let place = uniform * total
        if place < 1 { return 0 }
        if place < 1 + pow(0.5, ZipfRanks.theta) { return 1 }
        return min(Int(count) - 1, Int(count * pow(eta * uniform - eta + 1, 1 / (1 - ZipfRanks.theta))))
    }
}

/// Chooses records by their numbers. The same seed gives the same choices.
struct LoadChooser: Sendable {
    private let distribution: LoadDistribution
    private let records: Int
    private let ranks: ZipfRanks?
    private var position: Int
    private(set) var random: BenchRandom

    /// - Parameters:
    ///   - records: how many exist, numbered from 0; 1 or more.
    ///   - ranks: for `records` and distributions that need them.
    ///   - first: where a sequential walk begins.
    init(_ distribution: LoadDistribution, records: Int, ranks: ZipfRanks?, seed: UInt64, first: Int) {
        self.distribution = distribution
        self.records = records
        self.ranks = ranks
        position = first % records
        random = BenchRandom(seed: seed)
    }

    static func ranks(_ distribution: LoadDistribution, records: Int) -> ZipfRanks? {
        distribution == .zipfian || distribution == .latest ? ZipfRanks(count: records) : nil
    }

    mutating func below(_ bound: Int) -> Int { random.below(bound) }

    /// - Parameter inserted: numbers of records that came to those of the beginning, oldest first.
    mutating func next(inserted: [Int]) -> Int {
        switch distribution {
        case .uniform: return random.below(records)
        case .sequential:
            defer { position = position + 1 == records ? 0 : position + 1 }
            return position
        case .zipfian:
            let rank = min(ranks?.rank(fraction()) ?? 0, records - 1)
            return Int(LoadChooser.scatter(UInt64(rank)) % UInt64(records))
        case .latest:
            let age = min(ranks?.rank(fraction()) ?? 0, records - 1)
            return age < inserted.count ? inserted[inserted.count - 1 - age] : records - 1 - (age - inserted.count)
        }
    }

    /// - Parameter isHeld: of one of those of the beginning at least.
    mutating func next(inserted: [Int], where isHeld: (Int) -> Bool) -> Int {
        var number = next(inserted: inserted)
        var draws = 1
        while !isHeld(number) {
            // A server may hold a few records only, and none of those that are ever drawn.
            number = draws < LoadChooser.patience ? next(inserted: inserted) : (number + 1) % records
            draws += 1
        }
        return number
    }

    private static let patience = 1_000

    private mutating func fraction() -> Double { Double(random.next() >> 11) / Double(1 << 53) }

    /// FNV-1a of the number's bytes: popular records lie anywhere.
    private static func scatter(_ number: UInt64) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            hash = (hash ^ number >> shift & 0xFF) &* 0x100_0000_01b3
        }
        return hash
    }
}
