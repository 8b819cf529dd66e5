package import KVProtocols

/// A store that is measured: an engine, or raw calls of the library below one.
///
/// `apply`, `prepareScans` and `close` are called by one thread at a time, `reader` by any.
package protocol BenchTarget: AnyObject, Sendable {
    /// Does the batch; it is on the disk when this returns.
    func apply(_ batch: [StorageOperation]) throws(StorageError)

    /// What one thread reads with. It must be let go of before `close`.
    func reader() throws(StorageError) -> any BenchReader

    /// Called before scans are measured, outside of the measured time.
    func prepareScans() throws(StorageError)

    /// Lets go of the folder. Data stays.
    func close() throws(StorageError)
}

/// Reads for one thread, so that raw calls can keep a transaction or a connection of their own.
package protocol BenchReader: AnyObject {
    /// Fetches a record as the target's user would.
    /// - Returns: the length of its value; `nil` when there is no live record.
    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Int?

    /// Fetches a page of a scan.
    /// - Returns: the number of entries in it.
    func scan(_ request: ScanRequest) throws(StorageError) -> Int

    /// The record as it is stored, to look whether the target did what it claims. Never measured.
    func record(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record?
}

/// Something that can be measured, by name.
package struct BenchContender: Sendable {
    /// Unique within a comparison: `lmdb`, `raw-lmdb`.
    package let name: String
    /// The name of the contender whose cost counts as 1; `nil` for a baseline itself.
    package let baseline: String?
    /// What it does for a write and for a read, in a sentence for the report.
    package let summary: String
    /// Whether it is an engine of this program, not a baseline.
    package let isEngine: Bool
    /// Opens it in an empty folder of mode 0700, or in one that it filled before.
    package let open: @Sendable (_ folder: String) throws(StorageError) -> any BenchTarget

    package init(
        name: String, baseline: String?, summary: String, isEngine: Bool = false,
        open: @escaping @Sendable (_ folder: String) throws(StorageError) -> any BenchTarget
    ) {
        self.name = name
        self.baseline = baseline
        self.summary = summary
        self.isEngine = isEngine
        self.open = open
    }

    /// An engine as a node uses it: through `any StorageBackend`.
    package init(engine factory: BackendFactory, baseline: String?) {
        self.init(
            name: factory.type, baseline: baseline, summary: "the engine, \(factory.summary); verifies what it reads",
            isEngine: true
        ) { folder throws(StorageError) in
            try EngineTarget(factory.open(BackendContext(path: folder, partitions: BenchKeys.partitions)))
        }
    }
}

/// An engine of the registry.
final class EngineTarget: BenchTarget {
    private let backend: any StorageBackend

    init(_ backend: any StorageBackend) { self.backend = backend }

    func apply(_ batch: [StorageOperation]) throws(StorageError) { try backend.apply(batch) }
    func reader() throws(StorageError) -> any BenchReader { EngineReader(backend) }
    func prepareScans() throws(StorageError) {}
    func close() throws(StorageError) { try backend.close() }
}

private final class EngineReader: BenchReader {
    private let backend: any StorageBackend

    init(_ backend: any StorageBackend) { self.backend = backend }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Int? {
        try backend.read(partition, key)?.value?.count
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> Int { try backend.scan(request).entries.count }

    func record(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try backend.read(partition, key)
    }
}
