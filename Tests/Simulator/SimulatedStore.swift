public import KVProtocols
public import KVReplication

/// One member's disk, and what the machine sees of it: changes are visible at once and on the disk after a sync.
public struct SimulatedStore: ReplicaStore {
    /// What is wrong with a stored record.
    enum Damage: Hashable, Sendable {
        case value
        /// The version that it shows was never given to any record.
        case version
        case whole
    }

    /// What a damaged header shows: newer than anything.
    static let madeUp = Version(ballot: Ballot(counter: 1 << 40, node: NodeID(77)), sequence: 7)

    struct Slot: Hashable {
        var record: Record
        var damage: Damage?

        /// What a digest and a walk make of it: a record of unknown version is accounted for as version zero.
        var version: Version {
            switch damage {
            case nil, .value: record.version
            case .version: SimulatedStore.madeUp
            case .whole: .zero
            }
        }
    }

    struct Image: Hashable {
        var state: PartitionState
        var slots: [Key: Slot] = [:]
    }

    enum Change: Hashable {
        case put(Key, Record)
        case purge(Key)
        case save(PartitionState)
        case wipe
    }

    static let digestSeed: UInt64 = 0x1234_5678_9ABC_DEF0

    private(set) var visible: Image
    private(set) var disk: Image
    private(set) var staged: [Change] = []
    /// How many changes were ever staged, and how many of them are on the disk.
    private(set) var appended: UInt64 = 0
    private(set) var durable: UInt64 = 0
    private var stateAt: UInt64 = 0
    /// What the last sync took from the disk, among it what it had put there itself.
    private var passed: [Key: Version] = [:]
    public private(set) var digest = PartitionDigest()
    /// Keys that one page of a walk looks at.
    var pageLimit = 4

    public init(state: PartitionState) {
        visible = Image(state: state)
        disk = visible
    }

    // MARK: - As the machine sees it

    public var state: PartitionState { visible.state }
    public var isStateDurable: Bool { durable >= stateAt }
    public var digestSeed: UInt64 { Self.digestSeed }

    public func version(of key: Key) -> Found<Version> {
        guard let slot = visible.slots[key] else { return .absent }
        return slot.damage == .whole ? .damaged : .found(slot.version)
    }

    public func record(of key: Key) -> Found<Record> {
        guard let slot = visible.slots[key] else { return .absent }
        return slot.damage == nil ? .found(slot.record) : .damaged
    }

    public mutating func put(_ key: Key, _ record: Record, replacing: Found<Version>) {
        stage(.put(key, record))
        switch replacing {
        case .found(let old): digest.update(key, from: old, to: record.version, seed: Self.digestSeed)
        case .absent: digest.update(key, from: nil, to: record.version, seed: Self.digestSeed)
        case .damaged, .unreadable: digest = recomputedDigest
        }
    }

    public mutating func purge(_ key: Key, replacing: Version) {
        stage(.purge(key))
        digest.update(key, from: replacing, to: nil, seed: Self.digestSeed)
    }

    public mutating func save(_ state: PartitionState) {
        stage(.save(state))
        stateAt = appended
    }

    public mutating func wipe() {
        stage(.wipe)
        digest = PartitionDigest()
    }

    public func lastChanges(limit: Int) -> [Recollection.Entry] {
        // A real store knows them from its journal, which was verified.
        let readable = visible.slots.filter { $0.value.damage == nil }
        let entries = readable.map { Recollection.Entry(key: $0.key, version: $0.value.record.version) }
        return entries.sorted { ($0.version ?? .zero) < ($1.version ?? .zero) }.suffix(limit)
    }

    public func walk(buckets: UInt64, after: Key?) -> WalkPage? {
        let keys = visible.slots.keys.filter { key in after.map { $0 < key } ?? true }.sorted()
        let looked = keys.prefix(pageLimit)
        let entries = looked.compactMap { key -> WalkPage.Entry? in
            guard buckets & (1 << UInt64(PartitionDigest.bucket(of: key))) != 0, let slot = visible.slots[key] else {
                return nil
            }
            return WalkPage.Entry(key: key, version: slot.version)
        }
        return WalkPage(entries: entries, next: looked.count < keys.count ? looked.last : nil)
    }

    public func tombstones(after: Key?) -> WalkPage? {
        let keys = visible.slots.keys.filter { key in after.map { $0 < key } ?? true }.sorted()
        let looked = keys.prefix(pageLimit)
        let entries = looked.compactMap { key -> WalkPage.Entry? in
            guard let slot = visible.slots[key], slot.damage == nil, slot.record.isTombstone else { return nil }
            return WalkPage.Entry(key: key, version: slot.record.version)
        }
        return WalkPage(entries: entries, next: looked.count < keys.count ? looked.last : nil)
    }

    // MARK: - As the simulator sees it

    var recomputedDigest: PartitionDigest {
        var result = PartitionDigest()
        for (key, slot) in visible.slots {
            result.update(key, from: nil, to: slot.version, seed: Self.digestSeed)
        }
        return result
    }

    /// Everything staged reached the disk.
    public mutating func syncAll() { sync(upTo: appended) }

    /// Spoils what is stored of the key: its value only, or its header too.
    public mutating func damage(_ key: Key, wholly: Bool) {
        if spoil(key, wholly ? .whole : .value) { digest = recomputedDigest }
    }

    /// Spoils the key's header so that it shows a version that no record ever had.
    public mutating func makeUpVersion(of key: Key) { _ = spoil(key, .version) }

    /// Whether a record is spoilt, also where a newer one hides it that is not on the disk: a crash would bring it back.
    public var isDamaged: Bool {
        visible.slots.values.contains { $0.damage != nil } || disk.slots.values.contains { $0.damage != nil }
    }

    /// Whether the disk has this version of the key or a newer one, or had it for a moment amid the last sync, which went on to
    /// a purge or a wipe: what is said about it then is as true as if it had been said in that moment.
    public func reached(_ key: Key, _ version: Version) -> Bool {
        (disk.slots[key].map { $0.record.version >= version } ?? false) || (passed[key].map { $0 >= version } ?? false)
    }

    /// Everything staged up to `position` reached the disk.
    public mutating func sync(upTo position: UInt64) {
        guard position > durable else { return }
        let count = Int(min(position, appended) - durable)
        passed.removeAll(keepingCapacity: true)
        for change in staged.prefix(count) {
            switch change {
            case .purge(let key): passed[key] = disk.slots[key]?.record.version
            case .wipe: for (key, slot) in disk.slots { passed[key] = slot.record.version }
            case .put, .save: break
            }
            Self.apply(change, to: &disk)
        }
        staged.removeFirst(count)
        durable += UInt64(count)
    }

    /// The process ends. Of what was not durable, the first `kept` changes happen to be on the disk.
    public mutating func crash(keeping kept: Int) {
        sync(upTo: durable + UInt64(min(kept, staged.count)))
        staged = []
        appended = durable
        stateAt = durable
        visible = disk
        digest = recomputedDigest
    }

    /// Another disk is put in.
    mutating func replace(by image: Image) {
        disk = image
        crash(keeping: 0)
    }

    /// Spoils a record on the disk; does nothing when a newer one is on its way there.
    mutating func spoil(_ key: Key, _ damage: Damage) -> Bool {
        guard var slot = disk.slots[key], visible.slots[key] == slot, slot.damage == nil else { return false }
        slot.damage = damage
        disk.slots[key] = slot
        visible.slots[key] = slot
        return true
    }

    /// Reads everything and accounts for what fails verification, as a node does in quiet times. Returns the keys of that,
    /// in ascending order.
    mutating func scrub() -> [Key] {
        let keys = visible.slots.filter { $0.value.damage != nil }.keys.sorted()
        for key in keys {
            visible.slots[key]?.damage = .whole
            if disk.slots[key]?.damage != nil { disk.slots[key]?.damage = .whole }
        }
        digest = recomputedDigest
        return keys
    }

    private mutating func stage(_ change: Change) {
        staged.append(change)
        appended += 1
        Self.apply(change, to: &visible)
    }

    private static func apply(_ change: Change, to image: inout Image) {
        switch change {
        case .put(let key, let record): image.slots[key] = Slot(record: record)
        case .purge(let key): image.slots[key] = nil
        case .save(let state): image.state = state
        case .wipe: image.slots = [:]
        }
    }
}
