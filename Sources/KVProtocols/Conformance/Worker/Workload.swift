import KVProtocols

/// The batches that are interrupted, refused and killed: the same for the worker that applies them and for whoever judges
/// what is left of them.
struct Workload {
    /// The batches, in order.
    private(set) var batches: [[StorageOperation]] = []
    /// Before these the store is closed and opened again.
    private(set) var reopens: Set<Int> = []
    /// Every key that occurs.
    var keys: [Key] { Array(Set(batches.joined().compactMap { $0.key })).sorted() }
    /// Every name of metadata that occurs, in any scope.
    static let names = ["alpha", "beta", "gamma"]

    private var random: RandomNumbers
    private var sequence: UInt64 = 0

    /// - Parameter isLong: many more random batches behind those that are chosen.
    init(seed: UInt64, isLong: Bool) {
        random = RandomNumbers(seed: seed)
        addChosen()
        reopens.insert(batches.count)
        for number in 0..<(isLong ? 24 : 3) {
            batches.append((0..<2 + random.below(10)).map { _ in randomOperation() })
            if number % 8 == 5 { reopens.insert(batches.count) }
        }
        batches.append([put("last", 3)])
    }

    /// The states that a crash amid batch `number` may leave, by the number of its operations that are there.
    static func states(of batch: [StorageOperation], after state: ReferenceState) -> [ReferenceState] {
        var states = [state]
        for operation in batch {
            var next = states[states.count - 1]
            next.apply(operation)
            states.append(next)
        }
        return states
    }

    /// The state after all batches before `number`.
    func state(before number: Int) -> ReferenceState {
        var state = ReferenceState()
        for batch in batches[..<number] { state.apply(batch) }
        return state
    }

    /// The state after so many operations of the batches.
    func state(afterOperations count: Int) -> ReferenceState {
        var state = ReferenceState()
        for operation in batches.joined().prefix(count) { state.apply(operation) }
        return state
    }

    /// The batch of a store that was opened again after its process was killed.
    var secondLife: [StorageOperation] {
        let keys = keys
        let version = Version(ballot: Ballot(counter: 1 << 19, node: NodeID(8)), sequence: 1)
        return [
            .put(keys[0].partition, keys[0], Record(key: keys[0], version: version, value: [9, 8, 7])),
            .put(keys[3].partition, keys[3], Record(key: keys[3], version: version, value: nil)),
            .metadata(.node, Workload.names[1], [8]),
        ]
    }

    // MARK: Making

    private mutating func addChosen() {
        batches.append([
            put("a", 10), put("b", 300), put("{t}1", 1), put("{t}2", 0), put("{u}1", 40),
            .metadata(.node, "alpha", Array("node".utf8)), .metadata(.partition(named("{t}1").partition), "beta", [1]),
        ])
        // Overwrites, longer and shorter, and values that don't fit into a page.
        batches.append([put("a", 5_000), put("b", 2), put("big", 70_000), put("{t}1", nil), put("/etc/x", 9)])
        batches.append([purge("b"), put("{t}1", 20), .metadata(.node, "alpha", nil), purge("absent")])
        // Enough small ones that an engine may choose another way for them.
        batches.append((0..<36).map { put("many-\($0)", 20 + $0) })
        let wiped = named("{t}1").partition
        batches.append([
            put("{t}3", 12), put("c", 700), .wipe(wiped), put("{t}4", 30),
            .metadata(.partition(wiped), "gamma", [7, 7]),
            put("a", nil),
        ])
        // A record that is older than the tombstone before it: versions are not compared.
        batches.append([putOld("a", 33), put("d", 11), put("c", nil), purge("many-3"), purge("a"), putOld("a", 44)])
        batches.append([
            putOld("c", 15), put("e", 16), .metadata(.node, "beta", [UInt8](repeating: 3, count: 5_000)),
            put("big", 3),
        ])
    }

    private func named(_ text: String) -> Key { Key(unchecked: Array(text.utf8)) }

    private mutating func put(_ text: String, _ length: Int?, old: Bool = false) -> StorageOperation {
        sequence += 1
        let key = named(text)
        let version = Version(ballot: Ballot(counter: old ? 0 : sequence, node: NodeID(2)), sequence: sequence)
        let value = length.map { bytes($0) }
        return .put(
            key.partition, key,
            Record(key: key, version: version, value: value, expiresAt: sequence % 5 == 0 ? sequence : 0))
    }

    private mutating func putOld(_ text: String, _ length: Int) -> StorageOperation { put(text, length, old: true) }

    private func purge(_ text: String) -> StorageOperation { .purge(named(text).partition, named(text)) }

    /// Bytes that differ from those of every other record and from place to place.
    private func bytes(_ length: Int) -> [UInt8] {
        var source = RandomNumbers(seed: sequence &* 7919)
        var value: [UInt8] = []
        value.reserveCapacity(length + 8)
        while value.count < length { withUnsafeBytes(of: source.next().littleEndian) { value += $0 } }
        value.removeLast(value.count - length)
        return value
    }

    private mutating func randomOperation() -> StorageOperation {
        let names = ["a", "c", "d", "big", "{t}4", "{t}5", "f", "many-7"]
        let name = names[random.below(names.count)]
        switch random.below(20) {
        case 0..<10: return put(name, random.below(5) == 0 ? random.below(20_000) : random.below(200))
        case 10..<13: return put(name, nil)
        case 13..<16: return purge(name)
        case 16..<19:
            let scope: MetadataScope = random.below(2) == 0 ? .node : .partition(named(name).partition)
            let length = random.below(3) == 0 ? nil : random.below(100)
            return .metadata(scope, Workload.names[random.below(3)], length.map { [UInt8](repeating: 5, count: $0) })
        default: return .wipe(named(name).partition)
        }
    }
}

extension StorageOperation {
    /// The key that it is about, if it is about one.
    var key: Key? {
        switch self {
        case .put(_, let key, _), .purge(_, let key): key
        case .metadata, .wipe: nil
        }
    }
}
