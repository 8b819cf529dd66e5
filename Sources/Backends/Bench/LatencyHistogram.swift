/// Counts of durations, in buckets whose width is below 1 % of what they hold: 128 of equal width for each doubling.
///
/// The layout is that of HDR histograms: exact below 256 ns, a value's error below 1/128 up to 73 minutes, 36 KiB whatever
/// is recorded. Longer durations count into the last bucket; `longest` stays exact.
package struct LatencyHistogram: Sendable, Hashable {
    /// 2^7 buckets for each doubling.
    private static let precision = 7
    private static let limit: UInt64 = 1 << 42

    private var buckets = [UInt64](repeating: 0, count: LatencyHistogram.index(LatencyHistogram.limit - 1) + 1)
    package private(set) var count: UInt64 = 0
    /// The longest duration in nanoseconds, exact; 0 when nothing was recorded.
    package private(set) var longest: UInt64 = 0

    package init() {}

    /// Records that `count` operations took `nanoseconds` each. O(1), no allocation.
    package mutating func record(_ nanoseconds: UInt64, count added: Int = 1) {
        buckets[LatencyHistogram.index(min(nanoseconds, LatencyHistogram.limit - 1))] += UInt64(added)
        count += UInt64(added)
        longest = max(longest, nanoseconds)
    }

    package mutating func add(_ other: LatencyHistogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// The shortest duration that at least the share `fraction` (0 to 1) of operations did not exceed, in nanoseconds, at
    /// most 0.8 % above the exact one; 0 when nothing was recorded.
    package func percentile(_ fraction: Double) -> UInt64 {
        guard count > 0 else { return 0 }
        let wanted = max(1, UInt64((fraction * Double(count)).rounded(.up)))
        var seen: UInt64 = 0
        for (index, number) in buckets.enumerated() where number > 0 {
            seen += number
            if seen >= wanted { return min(LatencyHistogram.highest(in: index), longest) }
        }
        return longest
    }

    /// The first two doublings share buckets of width 1; from there each doubling has its own 128.
    private static func index(_ value: UInt64) -> Int {
        guard value >= 2 << precision else { return Int(value) }
        let shift = UInt64.bitWidth - 1 - value.leadingZeroBitCount - precision
        return shift << precision + Int(value >> UInt64(shift))
    }

    private static func highest(in index: Int) -> UInt64 {
        guard index >= 2 << precision else { return UInt64(index) }
        let shift = index >> precision - 1
        let lowest = UInt64(index - shift << precision) << UInt64(shift)
        return lowest + (1 << UInt64(shift)) - 1
    }
}
