import KVReplication

/// The one source of chance of a run.
struct Random {
    private var generator: SplitMix64

    init(seed: UInt64) { generator = SplitMix64(seed: seed) }

    mutating func next() -> UInt64 { generator.next() }
    /// From 0 up to, not including, `bound`.
    mutating func below(_ bound: UInt64) -> UInt64 { bound == 0 ? 0 : generator.next() % bound }
    mutating func below(_ bound: Int) -> Int { Int(below(UInt64(max(0, bound)))) }
    mutating func chance(_ probability: Double) -> Bool {
        Double(generator.next() >> 11) < probability * 9_007_199_254_740_992
    }
    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
    mutating func pick(weights: [Int]) -> Int {
        var left = below(weights.reduce(0, +))
        for (index, weight) in weights.enumerated() {
            if left < weight { return index }
            left -= weight
        }
        return 0
    }
    /// Around `mean`: half of it to one and a half.
    mutating func around(_ mean: UInt64) -> UInt64 { mean / 2 + below(mean + 1) }
    mutating func shuffled<T>(_ items: [T]) -> [T] {
        var items = items
        for index in items.indices.dropFirst().reversed() { items.swapAt(index, below(index + 1)) }
        return items
    }
}
