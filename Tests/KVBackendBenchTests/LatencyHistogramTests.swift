import KVBackendBench
import Testing

@Suite struct LatencyHistogramTests {
    /// SplitMix64, so that a failure repeats itself.
    struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
            return word ^ word >> 31
        }
    }

    @Test("percentiles are those of the sorted durations, at most 1 % above", arguments: [1, 2, 3, 4] as [UInt64])
    func percentiles(seed: UInt64) {
        var numbers = Numbers(state: seed)
        // Over many doublings: from nanoseconds to an hour.
        let durations = (0..<5000).map { _ in
            UInt64.random(in: 0..<(1 << UInt64.random(in: 1...41, using: &numbers)), using: &numbers)
        }
        var histogram = LatencyHistogram()
        for duration in durations { histogram.record(duration) }
        let sorted = durations.sorted()
        for fraction in [0, 0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1] {
            let exact = sorted[max(0, Int((fraction * 5000).rounded(.up)) - 1)]
            let found = histogram.percentile(fraction)
            #expect(found >= exact && Double(found) <= Double(exact) * 1.01, "seed \(seed), \(fraction)")
        }
        #expect(histogram.longest == sorted.last)
        #expect(histogram.count == 5000)
    }

    @Test("durations below 256 ns are exact")
    func short() {
        for duration in 0..<256 as Range<UInt64> {
            var histogram = LatencyHistogram()
            histogram.record(duration)
            histogram.record(1 << 40)
            #expect(histogram.percentile(0.5) == duration)
        }
    }

    @Test("a duration recorded for many operations counts that often")
    func weights() {
        var histogram = LatencyHistogram()
        histogram.record(10, count: 99)
        histogram.record(1000)
        #expect(histogram.percentile(0.99) == 10)
        #expect(histogram.percentile(0.991) == 1000)
    }

    @Test("adding two is recording into one")
    func addition() {
        var first = LatencyHistogram()
        var second = LatencyHistogram()
        var both = LatencyHistogram()
        for duration in stride(from: 1 as UInt64, to: 1_000_000, by: 777) {
            if duration % 2 == 0 { first.record(duration) } else { second.record(duration) }
            both.record(duration)
        }
        first.add(second)
        #expect(first == both)
    }

    @Test("durations beyond the last bucket keep the longest exact; an empty histogram says 0")
    func edges() {
        #expect(LatencyHistogram().percentile(0.5) == 0)
        var histogram = LatencyHistogram()
        histogram.record(.max)
        #expect(histogram.longest == .max)
        #expect(histogram.percentile(1) < 1 << 43)
    }
}
