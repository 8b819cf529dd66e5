import Foundation
import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// The content of a fake engine, over many opens.
final class FakeEngine {
    private(set) var backend: FakeBackend
    /// What reaches the engine of an operation; `nil` loses it.
    var altering: ((StorageOperation) -> StorageOperation?)?

    init(durable: Bool = true) { backend = FakeBackend(durable: durable) }

    func open() -> any StorageBackend {
        backend = backend.reopened()
        return altering.map { AlteringBackend(backend, $0) } ?? backend
    }

    /// Changes the content behind the storage's back.
    func change(_ body: (inout FakeBackend.Content) -> Void) { backend.state.withLock { body(&$0.content) } }
}

/// An engine that says it stored what it was given, and stored something else.
///
/// `nonisolated(unsafe)`: a test sets the closure before it opens the engine, and leaves it alone.
private final class AlteringBackend: StorageBackend {
    private let backend: FakeBackend
    private nonisolated(unsafe) let altering: (StorageOperation) -> StorageOperation?

    init(_ backend: FakeBackend, _ altering: @escaping (StorageOperation) -> StorageOperation?) {
        self.backend = backend
        self.altering = altering
    }

    var capabilities: BackendCapabilities { backend.capabilities }
    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? { try backend.read(partition, key) }
    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage { try backend.scan(request) }
    func apply(_ batch: [StorageOperation]) throws(StorageError) { try backend.apply(batch.compactMap(altering)) }
    func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try backend.metadata(scope, name)
    }
    func statistics() throws(StorageError) -> BackendStatistics { try backend.statistics() }
    func close() throws(StorageError) { try backend.close() }
    func destroy() throws(StorageError) { try backend.destroy() }
}

/// A node's folder of the type `old`, filled, and an absent one of the type `new`.
final class ConversionWorld {
    struct Content: Equatable {
        var identity: UInt64
        var note: [UInt8]?
        var states: [PartitionState] = []
        var digests: [PartitionDigest] = []
        var records: [Key: Record] = [:]
    }

    static let partitions = StorageFixture.partitions
    let old: TemporaryFolder
    let new: TemporaryFolder
    let oldEngine = FakeEngine()
    let newEngine = FakeEngine()

    init() throws {
        old = try TemporaryFolder()
        new = try TemporaryFolder()
        try withStorage(old.path, "old", oldEngine) { storage, _ in
            for number in 0..<20 {
                let key = try key("key/\(number)")
                let partition = key.partition(of: ConversionWorld.partitions)
                try storage.write(partition, key, UInt64(number + 1), number % 7 == 0 ? nil : "value \(number)")
            }
            for index in 0..<ConversionWorld.partitions {
                var state = PartitionState.empty
                state.configuration = Configuration(initial: [NodeID(1), NodeID(2)])
                state.promised = Ballot(counter: UInt64(index + 5), node: NodeID(2))
                storage.save(PartitionID(UInt16(index)), state)
            }
            storage.saveNode("note", Array("who I am".utf8))
            storage.commit()
        }
    }

    private func withStorage<Result>(
        _ path: String, _ type: String, _ engine: FakeEngine, _ body: (NodeStorage, DataFolder) throws -> Result
    ) throws -> Result {
        let folder = try DataFolder(path: path, backendType: type)
        let storage = try NodeStorage(
            folder: folder, backend: engine.open(), partitions: ConversionWorld.partitions,
            settings: StorageFixture.small, notify: { _ in })
        let result = Swift.Result { try body(storage, folder) }
        try storage.stop()
        return try result.get()
    }

    func content(_ path: String, _ type: String, _ engine: FakeEngine) throws -> Content {
        try withStorage(path, type, engine) { storage, folder in
            var content = Content(identity: folder.identity, note: try storage.node("note"))
            for index in 0..<ConversionWorld.partitions {
                let partition = PartitionID(UInt16(index))
                content.states.append(storage.state(of: partition))
                content.digests.append(storage.digest(of: partition))
                content.records.merge(try storage.everything(partition)) { $1 }
            }
            return content
        }
    }

    func place(_ path: String, _ type: String, _ engine: FakeEngine) -> StorageConversion.Place {
        StorageConversion.Place(path: path, type: type) { _ throws(StorageError) in engine.open() }
    }

    @discardableResult
    func convert(
        to type: String = "new", engine: FakeEngine? = nil, disk: any StorageDisk = SystemDisk()
    ) throws -> StorageConversion.Summary {
        try StorageConversion(
            from: place(old.path, "old", oldEngine), to: place(new.path, type, engine ?? newEngine),
            partitions: ConversionWorld.partitions, disk: disk, limits: FlushJob.Limits(operations: 6, bytes: 8 << 10)
        ).run(nodeNames: { _ in ["note", "absent"] }, report: { _ in })
    }

    /// Everything below a folder by name, so that a test can see that nothing was touched.
    func listing(_ path: String) -> [String] {
        (FileManager.default.subpaths(atPath: path) ?? []).filter { !$0.hasSuffix("lock") }.sorted()
    }

    func has(_ name: String, in path: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/.kv/\(name)") }

    func write(_ text: String, _ name: String, in path: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/.kv/\(name)"))
    }
}

/// The code of the storage error that `body` throws; `nil` when it throws none.
func code(_ body: () throws -> Void) -> StorageError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? StorageError)?.code
    }
}

/// Whether a folder can be opened, which is then closed again.
func opens(_ path: String, _ type: String) -> Bool {
    code { try DataFolder(path: path, backendType: type).release() } == nil
}
