import Foundation
import KVConformance
import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// A node's folder carried over from one engine to another: everything is there, and the old one is closed for good.
@Suite struct ConversionTests {
    private static let partitions = ConformanceSuite.partitions
    private static let pairs = Engine.durable.flatMap { from in
        Engine.durable.filter { $0.factory.type != from.factory.type }.map { (from, $0) }
    }

    /// An engine that fails after so many batches: the process ended there.
    private final class Interrupted: StorageBackend {
        let engine: any StorageBackend
        private let left: Mutex<Int>

        init(_ engine: any StorageBackend, after batches: Int) {
            self.engine = engine
            left = Mutex(batches)
        }

        var capabilities: BackendCapabilities { engine.capabilities }
        func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
            try engine.read(partition, key)
        }
        func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage { try engine.scan(request) }
        func apply(_ batch: [StorageOperation]) throws(StorageError) {
            let works = left.withLock { left in
                left -= 1
                return left >= 0
            }
            guard works else { throw StorageError(.io, "the process ended here") }
            try engine.apply(batch)
        }
        func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
            try engine.metadata(scope, name)
        }
        func statistics() throws(StorageError) -> BackendStatistics { try engine.statistics() }
        func close() throws(StorageError) { try engine.close() }
        func destroy() throws(StorageError) { try engine.destroy() }
    }

    /// What a node's storage says of itself.
    private struct Content: Equatable {
        var identity: UInt64
        var position: UInt64
        var note: [UInt8]?
        var states: [PartitionState]
        var digests: [PartitionDigest]
        var records: [Key: Record]
    }

    private func place(_ engine: Engine, _ folder: TestFolder, after batches: Int? = nil) -> StorageConversion.Place {
        StorageConversion.Place(path: folder.path, type: engine.factory.type) { partitions throws(StorageError) in
            let backend = try engine.open(folder, partitions: partitions)
            return batches.map { Interrupted(backend, after: $0) } ?? backend
        }
    }

    private func withStorage<Result>(
        _ engine: Engine, _ folder: TestFolder, _ body: (NodeStorage, DataFolder) throws -> Result
    ) throws -> Result {
        let dataFolder = try DataFolder(path: folder.path, backendType: engine.factory.type)
        let storage = try NodeStorage(
            folder: dataFolder, backend: try engine.open(folder), partitions: Self.partitions,
            settings: NodeStorage.Settings(seed: 99, segmentBytes: 1 << 20), notify: { _ in })
        let result = Swift.Result { try body(storage, dataFolder) }
        try storage.stop()
        return try result.get()
    }

    private func fill(_ engine: Engine, _ folder: TestFolder) throws {
        try withStorage(engine, folder) { storage, _ in
            for number in 0..<300 {
                let key = Key(unchecked: Array("key/\(number)".utf8))
                let value: [UInt8]? =
                    number % 7 == 0 ? nil : [UInt8](repeating: UInt8(number & 0xFF), count: number * 3)
                storage.put(key.partition, key, record(key, value, UInt64(number + 1)), replacing: nil)
            }
            for index in 0..<Self.partitions {
                var state = PartitionState.empty
                state.configuration = Configuration(initial: [NodeID(1), NodeID(2), NodeID(UInt32(index + 3))])
                state.promised = Ballot(counter: UInt64(index + 5), node: NodeID(2))
                storage.save(PartitionID(UInt16(index)), state)
            }
            storage.saveNode("note", Array("who I am".utf8))
            storage.commit()
        }
    }

    private func content(_ engine: Engine, _ folder: TestFolder) throws -> Content {
        try withStorage(engine, folder) { storage, dataFolder in
            var content = Content(
                identity: dataFolder.identity, position: storage.durable, note: try storage.node("note"), states: [],
                digests: [], records: [:])
            for index in 0..<Self.partitions {
                let partition = PartitionID(UInt16(index))
                content.states.append(storage.state(of: partition))
                content.digests.append(storage.digest(of: partition))
                for entry in try storage.scan(ScanRequest(partition: partition, limit: 10_000)).entries {
                    content.records[entry.key] = entry.record
                }
            }
            return content
        }
    }

    private func convert(
        _ source: StorageConversion.Place, _ target: StorageConversion.Place
    ) throws -> StorageConversion.Summary {
        try StorageConversion(
            from: source, to: target, partitions: Self.partitions, disk: SystemDisk(),
            limits: FlushJob.Limits(operations: 20, bytes: 8 << 10)
        ).run(nodeNames: { _ in ["note", "absent"] }, report: { _ in })
    }

    @Test("everything is carried over between any two engines", arguments: pairs)
    func carriedOver(from: Engine, to: Engine) throws {
        let (old, new) = (try TestFolder(), try TestFolder())
        try fill(from, old)
        let before = try content(from, old)
        #expect(before.records.count == 300)
        let summary = try convert(place(from, old), place(to, new))
        #expect(summary.records == 300)
        #expect(!summary.wasResumed)
        #expect(try content(to, new) == before)
        #expect(code { _ = try DataFolder(path: old.path, backendType: from.factory.type) } == .foreign)
        #expect(code { _ = try convert(place(from, old), place(to, new)) } == .foreign)
    }

    @Test("interrupted after any batch, the next call goes on", arguments: Engine.durable)
    func interrupted(to: Engine) throws {
        let from = try #require(Engine.durable.first { $0.factory.type != to.factory.type })
        let (old, new) = (try TestFolder(), try TestFolder())
        try fill(from, old)
        let before = try content(from, old)
        var failures = 0
        while true {
            do {
                // The end alone takes four: the last note, metadata, the checkpoint, the note's removal.
                let summary = try convert(place(from, old), place(to, new, after: 5))
                #expect(summary.wasResumed)
                break
            } catch let error as StorageError where error.code == .io {
                failures += 1
                try #require(failures < 200, "it never comes to an end")
                // Until the end the old folder is the node's.
                try DataFolder(path: old.path, backendType: from.factory.type).release()
                #expect(code { _ = try DataFolder(path: new.path, backendType: to.factory.type) } == .foreign)
            }
        }
        #expect(failures > 2)
        #expect(try content(to, new) == before)
    }

    @Test("data that changed after an interruption is not mixed with what was copied before")
    func changedMeanwhile() throws {
        let (from, to) = (try #require(Engine.durable.first), try #require(Engine.durable.last))
        let (old, new) = (try TestFolder(), try TestFolder())
        try fill(from, old)
        #expect(throws: StorageError.self) { try convert(place(from, old), place(to, new, after: 2)) }
        try withStorage(from, old) { storage, _ in
            let key = Key(unchecked: Array("later".utf8))
            storage.put(key.partition, key, record(key, [1], 1_000), replacing: nil)
            storage.commit()
        }
        #expect(code { _ = try convert(place(from, old), place(to, new)) } == .foreign)
        let empty = try TestFolder()
        #expect(try convert(place(from, old), place(to, empty)).records == 301)
    }

    @Test("a damaged record stops the conversion, and the old folder stays the node's", arguments: Engine.durable)
    func damaged(from: Engine) throws {
        let to = try #require(Engine.durable.first { $0.factory.type != from.factory.type })
        let (old, new) = (try TestFolder(), try TestFolder())
        let key = Key(unchecked: Array("fragile".utf8))
        let value = Array("a value that occurs once \(UUID())".utf8)
        try withStorage(from, old) { storage, _ in
            storage.put(key.partition, key, record(key, value), replacing: nil)
            storage.commit()
        }
        try flipBit(in: old.path, key, value)
        #expect(code { _ = try convert(place(from, old), place(to, new)) } == .damaged)
        try DataFolder(path: old.path, backendType: from.factory.type).release()
    }

    @Test("a folder in use, a foreign one and an occupied one are refused")
    func refusals() throws {
        let (from, to) = (try #require(Engine.durable.first), try #require(Engine.durable.last))
        let (old, new, other) = (try TestFolder(), try TestFolder(), try TestFolder())
        #expect(code { _ = try convert(place(from, old), place(to, new)) } == .foreign)
        try fill(from, old)
        let inUse = try DataFolder(path: old.path, backendType: from.factory.type)
        #expect(code { _ = try convert(place(from, old), place(to, new)) } == .inUse)
        inUse.release()
        try Data("x".utf8).write(to: URL(fileURLWithPath: other.path + "/letter.txt"))
        #expect(code { _ = try convert(place(from, old), place(to, other)) } == .foreign)
        #expect(try convert(place(from, old), place(to, new)).records == 300)
    }
}
