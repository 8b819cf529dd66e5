import Foundation
import KVProtocols
import Synchronization

@testable import KVStorage

/// An empty folder of its own, removed at the end.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("kvstorage-\(UUID().uuidString)").path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A storage with its folder, and the events of its threads in the order in which they came.
final class StorageFixture {
    static let partitions = 4
    static let seed: UInt64 = 42

    let folder: DataFolder
    let backend: FakeBackend
    let storage: NodeStorage
    let events: Monitor<[StorageEvent]>

    init(
        _ place: TemporaryFolder, disk: (any StorageDisk)? = nil, backend: FakeBackend,
        settings: NodeStorage.Settings = StorageFixture.small
    ) throws {
        let folder = try DataFolder(
            path: disk == nil ? place.path : "/data", backendType: "fake", disk: disk ?? SystemDisk(),
            newIdentity: UInt64.random(in: 1...UInt64.max))
        let events = Monitor<[StorageEvent]>([])
        self.folder = folder
        self.backend = backend
        self.events = events
        storage = try NodeStorage(
            folder: folder, backend: backend, partitions: StorageFixture.partitions, settings: settings,
            driver: .threads
        ) { event in
            events.update { $0.append(event) }
        }
    }

    static var small: NodeStorage.Settings {
        NodeStorage.Settings(
            seed: seed, segmentBytes: 16 << 10, overlayLimitBytes: 64 << 10, flushOperations: 7, retryMilliseconds: 1)
    }

    /// Handles events until the condition holds. A condition that never holds ends the test by its time limit.
    func wait(until condition: (NodeStorage) -> Bool) {
        while true {
            let next = events.update { events in
                defer { events.removeAll() }
                return events
            }
            for event in next { storage.handle(event) }
            if condition(storage) { return }
            _ = events.wait(milliseconds: 50) { $0.isEmpty ? nil : true }
        }
    }

    /// Commits, and waits until everything is durable or nothing can be any more.
    func sync() {
        storage.commit()
        wait { $0.durable == $0.appended || $0.failure != nil }
    }

    /// Flushes everything staged so far, or waits until that has failed.
    func flush() {
        let target = storage.appended
        var now: UInt64 = storage.nowMilliseconds
        wait { storage in
            now += 100
            storage.tick(nowMilliseconds: now)
            return (storage.flushed >= target && !storage.view.isFlushing && storage.view.active.isEmpty)
                || storage.failure != nil
        }
    }

    /// Ends the threads as a crash would.
    func crash() { storage.abandon() }
}

func record(_ key: Key, _ counter: UInt64, _ value: String?) -> Record {
    Record(
        key: key, version: Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: counter),
        value: value.map { Array($0.utf8) })
}

func key(_ text: String) throws -> Key { try Key(text) }

extension NodeStorage {
    /// As a machine does it: asks for the version first.
    func write(_ partition: PartitionID, _ key: Key, _ counter: UInt64, _ value: String?) throws {
        put(partition, key, record(key, counter, value), replacing: try version(partition, key))
    }

    func everything(_ partition: PartitionID, limit: Int = 3) throws -> [Key: Record] {
        var result: [Key: Record] = [:]
        var request = ScanRequest(partition: partition, limit: limit)
        while true {
            let page = try scan(request)
            for entry in page.entries { result[entry.key] = entry.record }
            guard !page.isLast, let last = page.entries.last else { return result }
            request.after = last.key
        }
    }
}

/// What the digest of this content must be.
func digest(of content: [Key: Record]) -> PartitionDigest {
    var digest = PartitionDigest()
    for (key, record) in content {
        digest.update(key, from: nil, to: record.version, seed: StorageFixture.seed)
    }
    return digest
}
