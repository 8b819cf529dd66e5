import KVProtocols
import KVReplication
import KVStorage

/// One partition of the node's storage, as its machine sees it.
struct PartitionStore: ReplicaStore {
    let partition: PartitionID
    let storage: NodeStorage
    /// Journal position of the state last saved.
    private var savedAt: UInt64 = 0
    /// What the scrub or a listing found and nobody has replaced yet.
    var damaged = DamagedKeys()
    /// Records replaced that failed verification, since the start.
    private(set) var replacedDamaged: UInt64 = 0
    /// How far walks have come, for people.
    let walkCount = WalkCount()
    /// Keys looked at per page of a walk: bounds how long a page keeps the engine.
    private static let walkPage = 512
    /// The same for the search for tombstones, which may take its time.
    private static let searchPage = 64

    init(partition: PartitionID, storage: NodeStorage) {
        self.partition = partition
        self.storage = storage
    }

    var state: PartitionState { storage.state(of: partition) }
    var isStateDurable: Bool { storage.durable >= savedAt }
    var digest: PartitionDigest {
        var digest = storage.digest(of: partition)
        // A sum: the order does not show.
        for key in damaged.keys { digest.update(key, from: nil, to: .zero, seed: digestSeed) }
        return digest
    }
    var digestSeed: UInt64 { storage.digestSeed }

    func version(of key: Key) -> Found<Version> {
        // Its header may be what is damaged.
        if damaged.contains(key) { return .damaged }
        do {
            return try storage.version(partition, key).map { .found($0) } ?? .absent
        } catch {
            return error.code == .damaged || damaged.contains(key) ? .damaged : .unreadable
        }
    }

    func record(of key: Key) -> Found<Record> {
        do {
            return try storage.read(partition, key).map { .found($0) } ?? .absent
        } catch {
            return error.code == .damaged || damaged.contains(key) ? .damaged : .unreadable
        }
    }

    mutating func put(_ key: Key, _ record: Record, replacing held: Found<Version>) {
        switch held {
        case .found(let old): storage.put(partition, key, record, replacing: old)
        case .absent: storage.put(partition, key, record, replacing: nil)
        case .damaged, .unreadable: replaceDamaged(key, record)
        }
    }

    private mutating func replaceDamaged(_ key: Key, _ record: Record) {
        _ = damaged.remove(key)
        var old: Version?
        switch version(of: key) {
        case .absent:
            break
        case .found(record.version):
            // A damaged header does not happen to show the version that the others have: the digest has it too.
            old = record.version
            replacedDamaged += 1
        case .found, .damaged, .unreadable:
            storage.doubtDigest(of: partition)
            replacedDamaged += 1
        }
        storage.put(partition, key, record, replacing: old)
    }

    mutating func purge(_ key: Key, replacing old: Version) {
        _ = damaged.remove(key)
        storage.purge(partition, key, replacing: old)
    }

    mutating func save(_ state: PartitionState) {
        storage.save(partition, state)
        savedAt = storage.appended
    }

    mutating func wipe() {
        damaged.removeAll()
        storage.wipe(partition, keeping: state)
        savedAt = storage.appended
    }

    func lastChanges(limit: Int) -> [Recollection.Entry] {
        let versions = storage.overlaid(partition).sorted { ($0.version ?? .zero) < ($1.version ?? .zero) }
        return versions.suffix(limit).map { Recollection.Entry(key: $0.key, version: $0.version) }
    }

    func walk(buckets: UInt64, after: Key?) -> WalkPage? {
        let request = ScanRequest(partition: partition, after: after, limit: Self.walkPage, values: false)
        let page: ScanPage
        do {
            page = try storage.scan(request)
        } catch {
            return nil  // the storage keeps the reason; a member that can't read gives no answer
        }
        var entries: [WalkPage.Entry] = []
        for entry in page.entries where buckets & (1 << UInt64(PartitionDigest.bucket(of: entry.key))) != 0 {
            // What fails verification is there but unknown: it must not pass for absent.
            let record = damaged.contains(entry.key) ? nil : entry.record
            entries.append(WalkPage.Entry(key: entry.key, version: record?.version ?? .zero))
        }
        let result = WalkPage(entries: entries, next: page.isLast ? nil : page.entries.last?.key)
        walkCount.read(result, after: after)
        return result
    }

    func tombstones(after: Key?) -> WalkPage? {
        guard storage.scansInOrder else { return nil }
        let request = ScanRequest(partition: partition, after: after, limit: Self.searchPage, values: false)
        let page: ScanPage
        do {
            page = try storage.scan(request)
        } catch {
            return nil  // the storage keeps the reason; the tombstones stay
        }
        let entries = page.entries.compactMap { entry -> WalkPage.Entry? in
            guard let record = entry.record, record.isTombstone, !damaged.contains(entry.key) else { return nil }
            return WalkPage.Entry(key: entry.key, version: record.version)
        }
        return WalkPage(entries: entries, next: page.isLast ? nil : page.entries.last?.key)
    }
}
