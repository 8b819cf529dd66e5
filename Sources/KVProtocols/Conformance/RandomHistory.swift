public import KVProtocols

/// A reproducible stream of batches and the state that they lead to: the same seed gives the same batches on every
/// machine, so that two engines can be compared, and a failure repeated.
public struct RandomHistory: Sendable {
    /// The records that an engine must hold after all batches so far.
    public private(set) var records: [Key: Record] = [:]
    /// The metadata that an engine must hold after all batches so far.
    public private(set) var metadata: [MetadataScope: [String: [UInt8]]] = [:]
    /// Every key that the history may use.
    public let keys: [Key]

    private let partitions: Int
    private var random: RandomNumbers
    private var sequence: UInt64 = 0

    /// - Parameters:
    ///   - seed: chooses the history.
    ///   - partitions: the number of partitions of the stores it is for.
    ///   - keyCount: few keys make many overwrites, many keys make long scans.
    public init(seed: UInt64, partitions: Int, keyCount: Int = 60) {
        self.partitions = partitions
        random = RandomNumbers(seed: seed)
        keys = (0..<keyCount).map { number in
            let hostile = ConformanceSuite.hostileKeys
            return Key(unchecked: Array((number % 2 == 0 ? "key \(number)" : hostile[number % hostile.count]).utf8))
        }
    }

    /// The next batch: 1 to 40 operations, among them rarely a wipe. `records` and `metadata` follow.
    public mutating func nextBatch() -> [StorageOperation] {
        let batch = (0..<1 + random.below(40)).map { _ in nextOperation() }
        for operation in batch { follow(operation) }
        return batch
    }

    /// A number from 0 to `bound` - 1, from the same stream.
    public mutating func choice(below bound: Int) -> Int { random.below(bound) }

    private mutating func nextOperation() -> StorageOperation {
        let key = keys[random.below(keys.count)]
        let partition = key.partition(of: partitions)
        switch random.below(100) {
        case 0..<60: return .put(partition, key, record(key, randomValue()))
        case 60..<75: return .put(partition, key, record(key, nil))
        case 75..<87: return .purge(partition, key)
        case 87..<98:
            let scope: MetadataScope = random.below(3) == 0 ? .node : .partition(partition)
            return .metadata(scope, "name_\(random.below(3))", random.below(4) == 0 ? nil : randomValue())
        default: return .wipe(PartitionID(UInt16(random.below(partitions))))
        }
    }

    private mutating func record(_ key: Key, _ value: [UInt8]?) -> Record {
        sequence += 1
        let version = Version(ballot: Ballot(counter: sequence / 10, node: NodeID(1)), sequence: sequence)
        return Record(key: key, version: version, value: value, expiresAt: random.below(3) == 0 ? random.next() : 0)
    }

    private mutating func randomValue() -> [UInt8] {
        let longest = random.below(24) == 0 ? 40_000 : [0, 10, 100, 1_000][random.below(4)]
        var value = [UInt8](
            repeating: UInt8(truncatingIfNeeded: random.next()), count: random.below(longest + 1))
        // A few places differ from the rest, so that a shifted or cut value shows.
        for _ in 0..<min(8, value.count) { value[random.below(value.count)] &+= 1 }
        return value
    }

    private mutating func follow(_ operation: StorageOperation) {
        switch operation {
        case .put(_, let key, let record): records[key] = record
        case .purge(_, let key): records[key] = nil
        case .metadata(let scope, let name, let value): metadata[scope, default: [:]][name] = value
        case .wipe(let partition):
            records = records.filter { $0.key.partition(of: partitions) != partition }
            metadata[.partition(partition)] = nil
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct RandomNumbers: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
