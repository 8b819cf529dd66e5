public import KVProtocols

/// Carries a stopped node's data over into another folder and another engine, unchanged: records with their versions,
/// tombstones, promises, identity, the journal's position. The node that opens the new folder goes on where it stopped.
///
/// Blocking code for one thread. Interrupted at any moment, another call with the same places goes on where the last
/// durable batch ended. The old folder is only read, until everything is in the new one and compared; then it is marked
/// as converted and can't be opened any more, for two nodes with one identity could take back each other's promises.
public struct StorageConversion {
    /// A folder and how to open the engine in it.
    public struct Place {
        public var path: String
        public var type: String
        public var open: (_ partitions: Int) throws(StorageError) -> any StorageBackend

        public init(
            path: String, type: String, open: @escaping (_ partitions: Int) throws(StorageError) -> any StorageBackend
        ) {
            self.path = path
            self.type = type
            self.open = open
        }
    }

    /// How far it is. `total` is the engine's own estimate.
    public struct Progress: Hashable, Sendable {
        public enum Stage: String, Hashable, Sendable { case copying, comparing }

        public var stage: Stage
        public var records: UInt64
        public var total: UInt64
    }

    public struct Summary: Hashable, Sendable {
        /// Tombstones included.
        public var records: UInt64
        /// Of keys and values.
        public var bytes: UInt64
        /// Whether an interrupted conversion was taken up.
        public var wasResumed: Bool
    }

    private static let progressName = "storage_conversion"
    private let source: Place
    private let target: Place
    private let partitions: Int
    private let disk: any StorageDisk
    private let limits: FlushJob.Limits

    /// - Parameter partitions: of the cluster, as the folder was made for.
    public init(from source: Place, to target: Place, partitions: Int) {
        self.init(from: source, to: target, partitions: partitions, disk: SystemDisk())
    }

    init(
        from source: Place, to target: Place, partitions: Int, disk: any StorageDisk,
        limits: FlushJob.Limits = FlushJob.Limits()
    ) {
        self.source = source
        self.target = target
        self.partitions = partitions
        self.disk = disk
        self.limits = limits
    }

    /// Converts; see the type. Cost: every record is read twice and written once, in batches of up to 16 MiB.
    /// - Parameters:
    ///   - nodeNames: the node's metadata that is there; the storage's own is known.
    ///   - report: called now and then, from this thread.
    /// - Throws: `.inUse` while a node runs on either folder, `.foreign` when the new one holds something else, `.damaged` when a
    ///   record fails verification (the cluster replaces it from other replicas: start the node, wait for a scrub), what the engines throw.
    public func run(
        nodeNames: (any StorageBackend) throws(StorageError) -> [String], report: @escaping (Progress) -> Void
    ) throws(StorageError) -> Summary {
        if try isAlmostFinished() {
            let identity = try DataFolder.marker("\(source.path)/.kv/\(DataFolder.markerName)", disk).identity
            try handOver(identity)
            return Summary(records: 0, bytes: 0, wasResumed: true)
        }
        try source.settle(partitions, disk)
        let folder = try DataFolder(path: source.path, backendType: source.type, disk: disk, newIdentity: 0)
        defer { folder.release() }
        let old = try source.open(partitions)
        let result = Result { () throws(StorageError) in try convert(old, folder, nodeNames, report) }
        try old.close()
        let summary = try result.get()
        try handOver(folder.identity)
        return summary
    }

    fileprivate static func checkpoint(of backend: any StorageBackend) throws(StorageError) -> StorageCheckpoint? {
        guard let bytes = try backend.metadata(.node, StorageCheckpoint.name) else { return nil }
        guard let checkpoint = bytes.withUnsafeBytes({ StorageCheckpoint($0) }) else {
            throw StorageError(.damaged, "the checkpoint in the backend's metadata can't be read")
        }
        return checkpoint
    }

    private func convert(
        _ old: any StorageBackend, _ folder: DataFolder,
        _ nodeNames: (any StorageBackend) throws(StorageError) -> [String], _ report: @escaping (Progress) -> Void
    ) throws(StorageError) -> Summary {
        guard let checkpoint = try StorageConversion.checkpoint(of: old) else {
            throw StorageError(.foreign, "the folder was never used by a node, there is nothing to convert")
        }
        let origin = "\(folder.identity) \(checkpoint.position) \(source.type) \(target.type) \(partitions)"
        let lock = try DataFolder.beginConversion(into: target.path, origin: origin, disk)
        defer { lock.release() }
        let new = try target.open(partitions)
        let result = Result { () throws(StorageError) -> Summary in
            var copy = try ConversionCopy(
                from: old, to: new, partitions: partitions, seed: checkpoint.seed, limits: limits,
                progressName: StorageConversion.progressName, report: report)
            try copy.records()
            try copy.metadata(try nodeNames(old), checkpoint: checkpoint)
            try copy.compare()
            return copy.summary
        }
        try new.close()
        let summary = try result.get()
        try DataFolder.copyJournal(from: source.path, to: target.path, disk)
        return summary
    }

    /// Interrupted after the old folder was given up and before the new one was taken: nothing is left to copy.
    private func isAlmostFinished() throws(StorageError) -> Bool {
        guard let successor = try DataFolder.successor(of: source.path, disk) else { return false }
        guard successor == target.path,
            try disk.names(in: "\(target.path)/.kv").contains(DataFolder.convertingName)
        else {
            throw StorageError(
                .foreign, "the data of this folder was converted already and lives on in \(successor)",
                path: source.path)
        }
        return true
    }

    private func handOver(_ identity: UInt64) throws(StorageError) {
        try DataFolder.finishConversion(
            from: source.path, to: target.path, type: target.type, identity: identity, disk)
    }
}

extension StorageConversion.Place {
    /// Brings everything that is in the journal into the engine, and stops as a node does.
    func settle(_ partitions: Int, _ disk: any StorageDisk) throws(StorageError) {
        guard try DataFolder.occupant(of: path, disk) == type else {
            throw StorageError(
                .foreign, "there is no data of a node with the backend '\(type)' in the folder",
                path: path)
        }
        let folder = try DataFolder(path: path, backendType: type, disk: disk, newIdentity: 0)
        let backend = try open(partitions)
        let seed = try StorageConversion.checkpoint(of: backend)?.seed ?? 0
        let storage: NodeStorage
        do {
            storage = try NodeStorage(
                folder: folder, backend: backend, partitions: partitions, settings: NodeStorage.Settings(seed: seed),
                driver: .threads, notify: { _ in })
        } catch {
            try backend.close()
            throw error
        }
        try storage.stop()
    }

    /// Hands out every record of a stopped node's folder, tombstones included, partition by partition in order of keys, in
    /// pages of up to 1,000 records or 16 MiB. What is only in the journal is brought into the engine first.
    /// - Throws: `.inUse` while a node runs on the folder, `.damaged` when a record fails verification, what the engine throws
    ///   as a `StorageError`; what `body` throws.
    public func records(_ partitions: Int, _ body: ([(key: Key, record: Record)]) throws -> Void) throws {
        let disk = SystemDisk()
        try settle(partitions, disk)
        let folder = try DataFolder(path: path, backendType: type, disk: disk, newIdentity: 0)
        defer { folder.release() }
        let backend = try open(partitions)
        let result = Result {
            for partition in 0..<partitions {
                var pages = RecordPages(
                    backend, PartitionID(UInt16(partition)), after: nil, limits: FlushJob.Limits())
                while let page = try pages.next() { try body(page) }
            }
        }
        try backend.close()
        try result.get()
    }
}
