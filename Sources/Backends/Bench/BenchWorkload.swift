package import KVProtocols

/// The keys of every store of one size, in the order in which a node flushes them: by partition, then by bytes.
package struct BenchKeys: Sendable {
    /// As many as a cluster has unless configured.
    package static let partitions = 64

    /// 16 bytes each.
    package let keys: [Key]
    package let partitions: [PartitionID]

    package init(count: Int) {
        var all: [(partition: PartitionID, key: Key)] = []
        for number in 0..<count {
            let digits = String(number)
            let zeros = String(repeating: "0", count: max(0, 11 - digits.count))
            let key = Key(unchecked: Array("user/\(zeros)\(digits)".utf8))
            all.append((key.partition(of: BenchKeys.partitions), key))
        }
        all.sort { left, right in
            left.partition != right.partition ? left.partition < right.partition : left.key < right.key
        }
        keys = all.map(\.key)
        partitions = all.map(\.partition)
    }
}

/// What one store was told so far, and makes what it is told next. Values are random bytes, so that nothing compresses;
/// any record can be made again from its number, to compare.
struct BenchWorkload: Sendable {
    let keys: BenchKeys
    private let size: Int
    private let noise: [UInt8]
    /// Per key: the number of its record; 0 when it has none.
    private var numbers: [UInt64]
    private var number: UInt64 = 0
    var random = BenchRandom(seed: 1)

    init(keys: BenchKeys, size: Int) {
        self.keys = keys
        self.size = size
        var random = BenchRandom(seed: 42)
        var noise: [UInt8] = []
        noise.reserveCapacity(size + (1 << 16))
        while noise.count < size + (1 << 16) {
            withUnsafeBytes(of: random.next()) { noise.append(contentsOf: $0) }
        }
        self.noise = noise
        numbers = [UInt64](repeating: 0, count: keys.keys.count)
    }

    var count: Int { keys.keys.count }

    /// The records of keys `range`, each new.
    mutating func puts(_ range: some Sequence<Int>) -> [StorageOperation] {
        range.map { index in
            number += 1
            numbers[index] = number
            return .put(keys.partitions[index], keys.keys[index], record(index, number))
        }
    }

    mutating func purges(_ range: Range<Int>) -> [StorageOperation] {
        range.map { index in
            numbers[index] = 0
            return .purge(keys.partitions[index], keys.keys[index])
        }
    }

    /// Up to `count` different keys, ascending.
    mutating func choice(_ count: Int) -> [Int] {
        var chosen: Set<Int> = []
        for _ in 0..<count { chosen.insert(random.below(self.count)) }
        return chosen.sorted()
    }

    /// What the store must hold for a key.
    func expected(_ index: Int) -> Record? { numbers[index] == 0 ? nil : record(index, numbers[index]) }

    var missing: [Int] { numbers.indices.filter { numbers[$0] == 0 } }

    private func record(_ index: Int, _ number: UInt64) -> Record {
        let start = Int(truncatingIfNeeded: number &* 0x9E37_79B9 >> 8) & 0xFFFF
        let version = Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: number)
        return Record(key: keys.keys[index], version: version, value: Array(noise[start..<start + size]))
    }
}

/// xorshift64* (Vigna, 2016): a few instructions, so that choosing a key costs little beside reading it.
package struct BenchRandom: Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    package mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }

    package mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }
}
