import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// The power goes while a conversion hands its data over. The engines keep what they were given at once; the journal, the
/// markers and the notes are as durable as the conversion made them.
@Suite struct ConversionPowerTests {
    private struct Content: Equatable {
        var identity: UInt64
        var position: UInt64
        var note: [UInt8]?
        var digests: [PartitionDigest] = []
        var records: [Key: Record] = [:]
    }

    private static let partitions = StorageFixture.partitions

    private func withStorage<Result>(
        _ path: String, _ type: String, _ backend: FakeBackend, _ disk: SimulatedDisk, newIdentity: UInt64? = nil,
        _ body: (NodeStorage, DataFolder) throws -> Result
    ) throws -> Result {
        let folder = try DataFolder(path: path, backendType: type, disk: disk, newIdentity: newIdentity)
        let storage = try NodeStorage(
            folder: folder, backend: backend, partitions: Self.partitions, settings: StorageFixture.small,
            driver: .threads, notify: { _ in })
        let result = Swift.Result { try body(storage, folder) }
        try storage.stop()
        return try result.get()
    }

    private func fill(_ engine: FakeEngine, _ disk: SimulatedDisk) throws {
        try withStorage("/old", "old", engine.backend, disk, newIdentity: 7) { storage, _ in
            for number in 0..<20 {
                let key = try key("key/\(number)")
                let value = number % 7 == 0 ? nil : "value \(number)"
                try storage.write(key.partition(of: Self.partitions), key, UInt64(number + 1), value)
            }
            storage.saveNode("note", Array("who I am".utf8))
            storage.commit()
        }
    }

    /// Leaves disk and engine as they are.
    private func content(_ path: String, _ type: String, _ engine: FakeEngine, _ image: DiskImage) throws -> Content {
        try withStorage(path, type, engine.backend.reopened(), SimulatedDisk(image)) { storage, folder in
            var content = Content(
                identity: folder.identity, position: storage.durable, note: try storage.node("note"))
            for index in 0..<Self.partitions {
                let partition = PartitionID(UInt16(index))
                content.digests.append(storage.digest(of: partition))
                content.records.merge(try storage.everything(partition)) { $1 }
            }
            return content
        }
    }

    @Test func `a folder that was converted into opens with everything after any power cut`() throws {
        let (old, new) = (FakeEngine(), FakeEngine())
        let disk = SimulatedDisk()
        try fill(old, disk)
        let start = disk.state.withLock { $0.image }
        let before = try content("/old", "old", old, start)
        #expect(before.records.count == 20)

        let marker = "/new/.kv/\(DataFolder.markerName)"
        let moments = Mutex<[DiskImage]>([])
        let watched = SimulatedDisk(start) { image in
            if image.names[marker] != nil { moments.withLock { $0.append(image) } }
        }
        let summary = try StorageConversion(
            from: StorageConversion.Place(path: "/old", type: "old") { _ throws(StorageError) in old.open() },
            to: StorageConversion.Place(path: "/new", type: "new") { _ throws(StorageError) in new.open() },
            partitions: Self.partitions, disk: watched, limits: FlushJob.Limits(operations: 6, bytes: 8 << 10)
        ).run(nodeNames: { _ in ["note"] }, report: { _ in })
        #expect(summary.records == 20)

        var randomness = Randomness(1)
        var opened = 0
        for image in moments.withLock({ $0 }).flatMap({ $0.crashes(drawn: 8, &randomness) })
        where image.names[marker] != nil {
            #expect(try content("/new", "new", new, image) == before)
            opened += 1
        }
        #expect(opened > 4)
    }
}
