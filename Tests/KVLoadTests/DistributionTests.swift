import Testing

@testable import KVBackendBench
@testable import KVLoad

@Suite struct DistributionTests {
    private func draw(_ distribution: LoadDistribution, records: Int, count: Int, inserted: [Int] = []) -> [Int] {
        let ranks = LoadChooser.ranks(distribution, records: records)
        var chooser = LoadChooser(distribution, records: records, ranks: ranks, seed: 7, first: 0)
        return (0..<count).map { _ in chooser.next(inserted: inserted) }
    }

    @Test(arguments: LoadDistribution.allCases, [1, 2, 3, 1000])
    func `only records that exist are asked for, and the same each time`(distribution: LoadDistribution, records: Int) {
        let numbers = draw(distribution, records: records, count: 5_000)
        #expect(numbers.allSatisfy { (0..<records).contains($0) })
        #expect(numbers == draw(distribution, records: records, count: 5_000))
    }

    @Test func `a sequential walk begins again at the end`() {
        #expect(draw(.sequential, records: 3, count: 7) == [0, 1, 2, 0, 1, 2, 0])
    }

    @Test func `uniform choices leave nobody out`() {
        let counts = Dictionary(grouping: draw(.uniform, records: 10, count: 10_000)) { $0 }.mapValues(\.count)
        #expect(counts.count == 10 && counts.values.allSatisfy { 800...1_200 ~= $0 })
    }

    /// Of ranks as such: 1 / (k + 1)^0.99 over 1,000 records makes the first one 12.8 % and the first ten 38 %.
    @Test func `ranks are zipfian`() {
        let ranks = ZipfRanks(count: 1_000)
        var random = BenchRandom(seed: 3)
        var first = 0
        var ten = 0
        for _ in 0..<100_000 {
            let rank = ranks.rank(Double(random.next() >> 11) / Double(1 << 53))
            first += rank == 0 ? 1 : 0
            ten += rank < 10 ? 1 : 0
        }
        #expect(12_200...13_400 ~= first)
        #expect(36_000...40_500 ~= ten)
    }

    @Test func `popular records lie anywhere, the newest are the last`() {
        let zipfian = Dictionary(grouping: draw(.zipfian, records: 1_000, count: 20_000)) { $0 }.mapValues(\.count)
        let popular = zipfian.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(5).map(\.key)
        #expect(popular != popular.sorted())
        #expect((zipfian[popular[0]] ?? 0) > 1_500)
        let latest = draw(.latest, records: 1_000, count: 20_000, inserted: [1_004, 1_008])
        #expect(latest.count { $0 == 1_008 } > 1_500)
        #expect(latest.allSatisfy { $0 < 1_000 || $0 == 1_004 || $0 == 1_008 })
    }

    @Test func `mixes are what they say`() {
        for mix in LoadMix.presets {
            #expect(mix.shares.values.reduce(0, +) == 100, "\(mix.name)")
            for (operation, share) in mix.shares {
                #expect((0..<100).count { mix.operation($0) == operation } == share, "\(mix.name)")
            }
        }
    }

    @Test func `numbers are handed out once, and only those that a server holds`() {
        var cursor = LoadCursor(next: 1, step: 2, end: 10)
        var taken: [Int] = []
        while let number = cursor.take(where: { $0 != 5 }) { taken.append(number) }
        #expect(taken == [1, 3, 7, 9])
        let names = LoadNames(prefix: "bench/")
        let parts = [[UInt16(0)...8_191], [8_192...16_383]].map { LoadHoldings(slots: $0, names: names) }
        for number in 0..<100 { #expect(parts.count { $0.contains(number) } == 1) }
    }

    /// Scattered ranks leave some records out: 7 of 10 are ever drawn.
    @Test(arguments: LoadDistribution.allCases)
    func `a server that holds one record is asked for that one`(distribution: LoadDistribution) {
        for held in 0..<10 {
            let ranks = LoadChooser.ranks(distribution, records: 10)
            var chooser = LoadChooser(distribution, records: 10, ranks: ranks, seed: 7, first: 0)
            for _ in 0..<5 { #expect(chooser.next(inserted: []) { $0 == held } == held) }
        }
    }

    @Test func `more threads than numbers can be multiplied with are refused`() {
        var plan = LoadPlan()
        plan.endpoints = [LoadEndpoint(host: "a", port: 1), LoadEndpoint(host: "b", port: 1)]
        plan.threads = .max
        #expect(plan.problems.contains { $0.contains("threads: 1 to 64") })
    }

    @Test func `a plan that can't be measured says why`() {
        var plan = LoadPlan()
        plan.target = .redis
        plan.mix = LoadMix.presets.first { $0.name == "e" } ?? plan.mix
        (plan.prefix, plan.connections) = ("Ä", 0)
        let problems = plan.problems.joined(separator: "\n")
        for word in ["no server", "connections", "prefix", "redis has no scan"] {
            #expect(problems.contains(word), "\(problems)")
        }
    }

    @Test(
        arguments: [
            ("127.0.0.1:8001", "127.0.0.1:8001"), ("http://host:80/", "host:80"), ("[::1]:9", "[::1]:9"), ("host", nil),
            ("host:0", nil), (":80", nil), ("host:99999", nil), ("a b:80", nil),
        ] as [(String, String?)])
    func `addresses`(text: String, expected: String?) {
        #expect(LoadEndpoint(text)?.description == expected)
    }
}
