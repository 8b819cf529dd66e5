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
        /// Partitions whose records did not add up to the digest that the old folder kept: some were gone from its disk, or
        /// came back. The new folder has the digest of what is there.
        public var inconsistentPartitions = 0
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
    /// - Throws: `.inUse` while a node runs on either folder, `.foreign` when the new one holds something else or what either held
    ///   is half set aside, `.unsupported` when the new engine keeps nothing on a disk, `.damaged` when a record fails
    ///   verification (the cluster replaces it from other replicas: start the node, wait for a scrub) or when the new folder
    ///   is not read back as it was written, what the engines throw.
    public func run(
        nodeNames: (any StorageBackend) throws(StorageError) -> [String], report: @escaping (Progress) -> Void
    ) throws(StorageError) -> Summary {
        if try isHandedOver() { return Summary(records: 0, bytes: 0, wasResumed: true) }
        try source.settle(partitions, disk)
        let folder = try DataFolder(path: source.path, backendType: source.type, disk: disk, newIdentity: nil)
        defer { folder.release() }
        let old = try source.open(partitions)
        let result = Result { () throws(StorageError) in try convert(old, folder, nodeNames, report) }
        try old.close()
        let (summary, lock) = try result.get()
        defer { lock.release() }
        try handOver(folder.identity)
        return summary
    }

    /// Returns with the new folder's lock: nobody comes near it before it has its marker.
    private func convert(
        _ old: any StorageBackend, _ folder: DataFolder,
        _ nodeNames: (any StorageBackend) throws(StorageError) -> [String], _ report: @escaping (Progress) -> Void
    ) throws(StorageError) -> (Summary, any StorageLock) {
        guard let checkpoint = try StorageOpening.checkpoint(of: old) else {
            throw StorageError(.foreign, "the folder was never used by a node, there is nothing to convert")
        }
        let note = ConversionNote(
            identity: folder.identity, position: checkpoint.position, sourceType: source.type, targetType: target.type,
            partitions: partitions)
        let (lock, isResumed) = try DataFolder.beginConversion(into: target.path, note: note, disk)
        do throws(StorageError) {
            let new = try openTarget(isResumed: isResumed)
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
            return (summary, lock)
        } catch {
            lock.release()
            throw error
        }
    }

    private func openTarget(isResumed: Bool) throws(StorageError) -> any StorageBackend {
        let new: any StorageBackend
        do throws(StorageError) {
            new = try target.open(partitions)
        } catch {
            // The folder may serve another engine. Why this one doesn't open is what has to be told.
            if !isResumed { do { try DataFolder.abandonConversion(into: target.path, disk) } catch {} }
            throw error
        }
        guard new.capabilities.durable else {
            try new.close()
            // Nothing was written for it, and the folder may serve another engine.
            try DataFolder.abandonConversion(into: target.path, disk)
            throw StorageError(
                .unsupported,
                "the backend '\(target.type)' keeps nothing on the disk, so the data can't be given up for it; convert into "
                    + "another one", path: target.path)
        }
        return new
    }

    /// Finishes a conversion that was interrupted after the old folder was given up: nothing is left to copy. What is in
    /// the new folder says what it is; what this call was told must agree.
    private func isHandedOver() throws(StorageError) -> Bool {
        guard let successor = try DataFolder.successor(of: source.path, disk) else { return false }
        let converted = StorageError(
            .foreign, "the data of this folder was converted already and lives on in \(successor)", path: source.path)
        guard successor == target.path, try DataFolder.conversionNote(in: target.path, disk) != nil else {
            throw converted
        }
        let lock = try disk.lock("\(target.path)/.kv/lock")
        defer { lock.release() }
        guard let note = try DataFolder.conversionNote(in: target.path, disk) else { throw converted }
        let identity = try DataFolder.marker("\(source.path)/.kv/\(DataFolder.markerName)", disk).identity
        let mine = ConversionNote(
            identity: identity, position: note.position, sourceType: source.type, targetType: target.type,
            partitions: partitions)
        guard note == mine else {
            throw StorageError(
                .foreign,
                "the interrupted conversion was one from the backend '\(note.sourceType)' into '\(note.targetType)'; finish it "
                    + "with --to \(note.targetType):\(target.path)", path: target.path)
        }
        try handOver(identity)
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
        // What is half set aside may have lost its marker already; it is refused below, where it is said what to do.
        let isHalfSetAside = try DataFolder.isBeingSetAside(path, disk)
        let occupant = try DataFolder.occupant(of: path, disk)
        guard isHalfSetAside || occupant == type else {
            throw StorageError(
                .foreign, "there is no data of a node with the backend '\(type)' in the folder",
                path: path)
        }
        let folder = try DataFolder(path: path, backendType: type, disk: disk, newIdentity: nil)
        let backend = try open(partitions)
        let storage: NodeStorage
        do throws(StorageError) {
            guard backend.capabilities.durable else {
                throw StorageError(
                    .unsupported, "the backend '\(type)' keeps nothing on the disk: there is nothing to read",
                    path: path)
            }
            let seed = try StorageOpening.checkpoint(of: backend)?.seed ?? 0
            // The journal gets no entries, so no more room is taken for it than for its header.
            storage = try NodeStorage(
                folder: folder, backend: backend, partitions: partitions,
                settings: NodeStorage.Settings(seed: seed, segmentBytes: 64 << 10), driver: .threads, notify: { _ in })
        } catch {
            try backend.close()
            throw error
        }
        try storage.stop()
    }

    /// Hands out every record of a stopped node's folder, tombstones included, partition by partition in order of keys, in
    /// pages of up to 1,000 records or 16 MiB. What is only in the journal is brought into the engine first.
    /// - Throws: `.inUse` while a node runs on the folder, `.foreign` when it holds no such data or while that is half set
    ///   aside, `.unsupported` for an engine that keeps nothing, `.damaged` when a record fails verification, what the
    ///   engine throws as a `StorageError`; what `body` throws.
    public func records(_ partitions: Int, _ body: ([(key: Key, record: Record)]) throws -> Void) throws {
        let disk = SystemDisk()
        try settle(partitions, disk)
        let folder = try DataFolder(path: path, backendType: type, disk: disk, newIdentity: nil)
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
