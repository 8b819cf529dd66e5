public import KVProtocols

/// A step of a script: one call of the engine, or closing and opening it.
public enum ScriptStep: Hashable, Sendable {
    case apply([StorageOperation])
    case read(Key)
    case version(Key)
    case scan(ScanRequest)
    case metadata(MetadataScope, String)
    case statistics
    case reopen
}

/// A list of calls that an engine must answer as a reference in memory does: chosen at random from a seed, written down as
/// text, read back from it, and made short when it fails.
public struct OperationScript: Hashable, Sendable {
    public var steps: [ScriptStep]

    public init(_ steps: [ScriptStep]) { self.steps = steps }

    /// The same seed gives the same script on every machine.
    /// - Parameter keyCount: few keys make many overwrites.
    public static func random(seed: UInt64, steps count: Int, keyCount: Int = 12) -> OperationScript {
        var maker = ScriptMaker(seed: seed, keyCount: keyCount)
        return OperationScript((0..<count).map { _ in maker.nextStep() })
    }

    /// The number of calls, each operation of a batch counted.
    public var count: Int {
        steps.reduce(0) { total, step in
            if case .apply(let batch) = step { total + max(1, batch.count) } else { total + 1 }
        }
    }

    /// Runs the script on a new store.
    /// - Returns: what the engine did wrong, if it did.
    /// - Throws: when no store can be opened at all.
    func failure(in suite: ConformanceSuite) throws -> ConformanceFailure? {
        let store = try ConformanceStore(suite)
        defer { store.discard() }
        var state = ReferenceState()
        for (number, step) in steps.enumerated() {
            do {
                if let message = try OperationScript.run(step, store, &state) {
                    return ConformanceFailure("step \(number + 1): \(message)")
                }
            } catch let failure as ConformanceFailure {
                return ConformanceFailure("step \(number + 1): \(failure.message)")
            } catch {
                return ConformanceFailure("step \(number + 1): it threw \(error)")
            }
        }
        return nil
    }

    private static func run(_ step: ScriptStep, _ store: ConformanceStore, _ state: inout ReferenceState) throws
        -> String?
    {
        switch step {
        case .apply(let batch):
            try store.backend.apply(batch)
            state.apply(batch)
        case .read(let key):
            let found = try store.read(key)
            return found == state.records[key]
                ? nil : "found \(ReferenceState.text(found)) instead of \(ReferenceState.text(state.records[key]))"
        case .version(let key):
            let found = try store.backend.version(key.partition, key)
            let wanted = state.records[key]?.version
            return found == wanted
                ? nil : "found \(found.map(\.description) ?? "none") instead of \(wanted.map(\.description) ?? "none")"
        case .scan(let request): return difference(try store.scan(request), request, state)
        case .metadata(let scope, let name):
            let found = try store.backend.metadata(scope, name)
            return found == state.metadata[scope]?[name]
                ? nil : "found \(found?.count ?? -1) bytes instead of \(state.metadata[scope]?[name]?.count ?? -1)"
        case .statistics: try store.expectCount(UInt64(state.records.count), "statistics")
        case .reopen: if store.backend.capabilities.durable { try store.reopen() }
        }
        return nil
    }

    private static func difference(
        _ found: [ScanPage.Entry], _ request: ScanRequest, _ state: ReferenceState
    ) -> String? {
        let wanted = state.records.filter { key, _ in
            key.partition == request.partition && request.after.map { $0 < key } ?? true
                && key.hasPrefix(request.prefix)
        }.sorted { $0.key < $1.key }
        guard found.map(\.key) == wanted.map(\.key) else {
            return "found the keys \(list(found.map(\.key))) instead of \(list(wanted.map(\.key)))"
        }
        for (entry, (key, record)) in zip(found, wanted) {
            var record = record
            if !request.values, record.value != nil { record.value = [] }
            if entry.record != record {
                return "\(OperationText.quoted(key)) has \(ReferenceState.text(entry.record)) instead of "
                    + ReferenceState.text(record)
            }
        }
        return nil
    }

    private static func list(_ keys: [Key]) -> String {
        "[" + keys.prefix(8).map(OperationText.quoted).joined(separator: " ") + (keys.count > 8 ? " …]" : "]")
    }
}

/// Makes steps at random.
private struct ScriptMaker {
    private var random: RandomNumbers
    private var sequence: UInt64 = 0
    private let keys: [Key]

    init(seed: UInt64, keyCount: Int) {
        var random = RandomNumbers(seed: seed)
        let hostile = ConformanceSuite.hostileKeys
        keys = (0..<keyCount).map { number in
            let text =
                number % 3 == 2 ? hostile[random.below(hostile.count)] : "\(number % 2 == 0 ? "{t}" : "k")\(number)"
            return Key(unchecked: Array(text.utf8))
        }
        self.random = random
    }

    mutating func nextStep() -> ScriptStep {
        switch random.below(20) {
        case 0..<8: return .apply((0..<1 + random.below(random.below(8) == 0 ? 40 : 6)).map { _ in operation() })
        case 8..<11: return .read(key())
        case 11: return .version(key())
        case 12..<16: return .scan(request())
        case 16: return .metadata(scope(), name())
        case 17: return .statistics
        default: return random.below(2) == 0 ? .reopen : .read(key())
        }
    }

    private mutating func key() -> Key { keys[random.below(keys.count)] }

    private mutating func name() -> String { Workload.names[random.below(3)] }

    private mutating func scope() -> MetadataScope {
        random.below(2) == 0 ? .node : .partition(PartitionID(UInt16(random.below(ConformanceSuite.partitions))))
    }

    private mutating func value() -> [UInt8] {
        let longest = [0, 3, 40, 600, 9_000][random.below(5)]
        var value = [UInt8](repeating: UInt8(random.below(256)), count: random.below(longest + 1))
        for _ in 0..<min(3, value.count) { value[random.below(value.count)] = UInt8(random.below(256)) }
        return value
    }

    private mutating func record(_ key: Key, _ value: [UInt8]?) -> Record {
        // Rarely one that is older: versions are not compared.
        sequence += 1
        let counter = random.below(6) == 0 ? 0 : sequence
        return Record(
            key: key, version: Version(ballot: Ballot(counter: counter, node: NodeID(1)), sequence: sequence),
            value: value, expiresAt: random.below(4) == 0 ? random.next() : 0)
    }

    private mutating func operation() -> StorageOperation {
        let key = key()
        switch random.below(100) {
        case 0..<60: return .put(key.partition, key, record(key, value()))
        case 60..<74: return .put(key.partition, key, record(key, nil))
        case 74..<86: return .purge(key.partition, key)
        case 86..<96: return .metadata(scope(), name(), random.below(4) == 0 ? nil : value())
        default: return .wipe(key.partition)
        }
    }

    private mutating func request() -> ScanRequest {
        let key = key()
        return ScanRequest(
            partition: key.partition, after: random.below(2) == 0 ? self.key() : nil,
            prefix: random.below(3) == 0 ? Array(key.bytes.prefix(1 + random.below(3))) : [],
            limit: 1 + random.below(random.below(2) == 0 ? 3 : 50), values: random.below(2) == 0)
    }
}
