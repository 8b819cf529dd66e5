import KVProtocols

/// Makes a script that fails short: leaves out steps, then operations of batches (delta debugging, Zeller and Hildebrandt,
/// 2002), then makes values, keys and requests simple, as long as it still fails.
struct ScriptShrinker {
    private let fails: (OperationScript) -> Bool
    private var runsLeft: Int

    /// - Parameters:
    ///   - runs: how often `fails` is asked at most.
    ///   - fails: whether a script fails, in whatever way.
    init(runs: Int = 3_000, fails: @escaping (OperationScript) -> Bool) {
        self.fails = fails
        runsLeft = runs
    }

    /// A script that fails, no longer than `script`, which must fail.
    mutating func shrink(_ script: OperationScript) -> OperationScript {
        var best = script
        while runsLeft > 0 {
            let before = best
            best.steps = reduce(best.steps) { OperationScript($0) }
            for index in best.steps.indices.reversed() {
                guard case .apply(let batch) = best.steps[index] else { continue }
                let steps = best.steps
                let shorter = reduce(batch) { batch in
                    var steps = steps
                    steps[index] = .apply(batch)
                    return OperationScript(steps)
                }
                best.steps[index] = .apply(shorter)
            }
            simplifyKeys(&best)
            for index in best.steps.indices { simplify(&best, at: index) }
            if best == before { return best }
        }
        return best
    }

    private mutating func stillFails(_ script: OperationScript) -> Bool {
        guard runsLeft > 0 else { return false }
        runsLeft -= 1
        return fails(script)
    }

    /// Leaves out parts, large ones first, then smaller and smaller ones.
    private mutating func reduce<Element>(
        _ elements: [Element], _ script: ([Element]) -> OperationScript
    ) -> [Element] {
        var best = elements
        var size = max(1, best.count / 2)
        while true {
            var start = 0
            var hasShrunk = false
            while start < best.count {
                let shorter = Array(best[..<start] + best[min(best.count, start + size)...])
                if stillFails(script(shorter)) {
                    best = shorter
                    hasShrunk = true
                } else {
                    start += size
                }
            }
            if size == 1, !hasShrunk { return best }
            size = max(1, size / 2)
        }
    }

    // MARK: Simpler words

    /// Gives keys short names, where the fault doesn't depend on them.
    private mutating func simplifyKeys(_ script: inout OperationScript) {
        let keys = Set(script.steps.flatMap(ScriptShrinker.keys)).sorted()
        for (number, key) in keys.enumerated() {
            for prefix in ["", "{t}"] {
                let simple = Key(unchecked: Array((prefix + String(UnicodeScalar(UInt8(97 + number % 26)))).utf8))
                if simple == key { break }
                guard simple.bytes.count < key.bytes.count, !keys.contains(simple) else { continue }
                let candidate = OperationScript(script.steps.map { ScriptShrinker.replace(key, by: simple, in: $0) })
                if stillFails(candidate) {
                    script = candidate
                    break
                }
            }
        }
    }

    private static func keys(_ step: ScriptStep) -> [Key] {
        switch step {
        case .apply(let batch): batch.compactMap(\.key)
        case .read(let key), .version(let key): [key]
        case .scan(let request): request.after.map { [$0] } ?? []
        case .metadata, .statistics, .reopen: []
        }
    }

    private static func replace(_ old: Key, by new: Key, in step: ScriptStep) -> ScriptStep {
        switch step {
        case .apply(let batch):
            return .apply(
                batch.map { operation in
                    switch operation {
                    case .put(_, old, let record):
                        // Intact records stay so; broken ones stay broken.
                        var renamed = Record(
                            key: new, version: record.version, value: record.value, expiresAt: record.expiresAt)
                        if !record.isIntact(for: old) { renamed.checksum ^= 1 }
                        return .put(new.partition, new, renamed)
                    case .purge(_, old): return .purge(new.partition, new)
                    case .wipe(old.partition): return .wipe(new.partition)
                    default: return operation
                    }
                })
        case .read(old): return .read(new)
        case .version(old): return .version(new)
        case .scan(var request):
            if request.after == old { request.after = new }
            if request.partition == old.partition { request.partition = new.partition }
            return .scan(request)
        default: return step
        }
    }

    private mutating func simplify(_ script: inout OperationScript, at index: Int) {
        switch script.steps[index] {
        case .apply(let batch):
            for number in batch.indices {
                for simple in ScriptShrinker.simpler(batch[number]) {
                    guard case .apply(var changed) = script.steps[index] else { return }
                    changed[number] = simple
                    var candidate = script
                    candidate.steps[index] = .apply(changed)
                    if stillFails(candidate) {
                        script = candidate
                        break
                    }
                }
            }
        case .scan(let request):
            var simple = request
            for change in ScriptShrinker.simplerRequests {
                var changed = simple
                change(&changed)
                guard changed != simple else { continue }
                var candidate = script
                candidate.steps[index] = .scan(changed)
                if stillFails(candidate) {
                    script = candidate
                    simple = changed
                }
            }
        default: break
        }
    }

    private static let simplerRequests: [@Sendable (inout ScanRequest) -> Void] = [
        { $0.after = nil }, { $0.prefix = [] }, { $0.limit = 100 }, { $0.values = true },
    ]

    /// Simplest first.
    private static func simpler(_ operation: StorageOperation) -> [StorageOperation] {
        switch operation {
        case .put(let partition, let key, let record):
            let plain = Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: 1)
            let value = record.value
            let lengths = [1, value.map { $0.count / 2 } ?? 0]
            let shorter = lengths.filter { $0 < value?.count ?? 0 }.map { [UInt8](repeating: 0x41, count: $0) }
            var candidates: [Record] = []
            for short in shorter.map(Optional.some) + [value] {
                for version in [plain, record.version] {
                    for expiry in [0, record.expiresAt] {
                        let next = Record(key: key, version: version, value: short, expiresAt: expiry)
                        if next == record { return candidates.map { .put(partition, key, $0) } }
                        if !candidates.contains(next) { candidates.append(next) }
                    }
                }
            }
            return candidates.map { .put(partition, key, $0) }
        case .metadata(let scope, let name, let value?) where value.count > 1:
            return [.metadata(scope, name, [1]), .metadata(scope, name, Array(value.prefix(value.count / 2)))]
        default: return []
        }
    }
}
