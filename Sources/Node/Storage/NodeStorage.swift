public import KVProtocols

/// A node's store: a journal in front, an overlay in memory, a backend behind.
///
/// **Threads:** confined to the engine's thread. Threads of its own, the journal's, the flusher's and the scrub's, report through
/// `notify`, which must not block; the engine calls `handle` with each event, in the order of each thread.
/// **Visibility:** what is staged is seen by every later read at once. **Durability:** an entry is durable once `durable`
/// has reached the value that `appended` had after staging it; entries become durable in the order in which they
/// were staged, and after a crash exactly a prefix of them, at least up to `durable`, is there. **Cost:** staging and reads of
/// overlaid keys are look-ups in memory; other reads cost what the backend's do.
/// **Bounds:** the caller stops staging for clients while `isOverLimit` is true.
public final class NodeStorage {
    /// Sizes and times; the defaults fit a node of a cluster.
    public struct Settings: Sendable {
        /// The key of the digests' hash, made from the cluster's name: the same on every node. When it differs from the last
        /// time, digests are computed anew.
        public var seed: UInt64
        /// Size of a journal segment. Two or more exist at any time.
        public var segmentBytes: Int
        /// Estimated memory of the overlay above which `isOverLimit` is true.
        public var overlayLimitBytes: Int
        /// How long the first change waits for others before a flush, in milliseconds.
        public var flushDelayMilliseconds: UInt64
        /// Operations that the backend gets at once, at most (metadata that belongs to them may come on top). Among many keys each of them
        /// changes a page of its own, and lmdb keeps the memory of as many pages as a batch ever changed.
        public var flushOperations: Int
        /// Bytes of keys and values that the backend gets at once, at most, unless a single record is larger.
        public var flushBytes: Int
        /// How long the journal and the flusher wait before they try a full disk again, in milliseconds.
        public var retryMilliseconds: Int
        /// How much the scrub reads of the backend, in bytes per second, where a record counts 8 KiB more than it has. 0: no scrub.
        public var scrubBytesPerSecond: Int
        /// How long after the beginning of one pass over the backend the next one begins, at the earliest, in milliseconds.
        public var scrubPassMilliseconds: UInt64
        /// Free bytes of the disk under the folder below which `isDiskLow` is true. 0: never.
        public var reserveBytes: Int

        public init(
            seed: UInt64, segmentBytes: Int = 64 << 20, overlayLimitBytes: Int = 64 << 20,
            flushDelayMilliseconds: UInt64 = 50, flushOperations: Int = 5_000, flushBytes: Int = 16 << 20,
            retryMilliseconds: Int = 200, scrubBytesPerSecond: Int = 0, scrubPassMilliseconds: UInt64 = 30_000,
            reserveBytes: Int = 0
        ) {
            self.seed = seed
            self.segmentBytes = segmentBytes
            self.overlayLimitBytes = overlayLimitBytes
            self.flushDelayMilliseconds = flushDelayMilliseconds
            self.flushOperations = flushOperations
            self.flushBytes = flushBytes
            self.retryMilliseconds = retryMilliseconds
            self.scrubBytesPerSecond = scrubBytesPerSecond
            self.scrubPassMilliseconds = scrubPassMilliseconds
            self.reserveBytes = reserveBytes
        }
    }

    let settings: Settings
    let folder: DataFolder
    let backend: any StorageBackend
    let view: StorageView
    let journal: JournalThread
    let flusher: FlusherThread
    /// `nil` when nothing is scrubbed.
    let scrub: ScrubThread?
    /// Up from before a flush until after it, and while the backend has only a part of one, from before a crash.
    let flushSign: FlushSign
    var isScrubPaused = false

    /// Frames that are complete but not yet submitted, and the one that takes entries.
    var sealed: [JournalFrame] = []
    var frame: JournalFrame

    /// Position of the last staged entry. Counts entries; only grows over the life of the folder, also across restarts.
    public internal(set) var appended: UInt64
    /// Every entry up to here is on the disk.
    public internal(set) var durable: UInt64
    /// Why nothing becomes durable any more, if so: the node has failed and acknowledges nothing until it is restarted.
    public internal(set) var failure: StorageError?
    /// Why the disk doesn't take what it should, if so: the node is degraded, its data safe, and it recovers by itself.
    public var degradation: StorageError? { journalDegradation ?? flushDegradation ?? lowDegradation }
    var journalDegradation: StorageError?
    var flushDegradation: StorageError?
    /// Everything can still be stored, but less is free than `Settings.reserveBytes`: what grows had better be refused, so
    /// that deletes and repairs have room. As of the last `statistics`; ends when a quarter more is free.
    public var isDiskLow: Bool { lowDegradation != nil && journalDegradation == nil && flushDegradation == nil }
    var lowDegradation: StorageError?

    /// The backend has everything up to here.
    var flushed: UInt64
    /// Waits until the journal is durable up to its position.
    var pendingJob: FlushJob?
    /// The engine's clock at its last tick, and when the first change of the active generation came.
    var nowMilliseconds: UInt64 = 0
    var dirtySinceMilliseconds: UInt64 = 0
    /// When the flush under way began, and until when the flusher rests after the last one.
    var flushSinceMilliseconds: UInt64 = 0
    var restUntilMilliseconds: UInt64 = 0
    /// When the backend was last to be asked for its figures.
    var measuredMilliseconds: UInt64 = 0
    var isStopped = false
    /// Partitions whose digest is computed anew before anybody sees it.
    var doubtfulDigests: Set<Int> = []

    /// Opens the storage in `folder`: reads the backend's metadata and replays the journal. The backend was opened in the
    /// same folder and belongs to this storage from here on.
    ///
    /// Cost: O(entries that the backend lacks); after a crash amid a flush also O(keys) of the partitions that it touched.
    /// - Throws: `.damaged` when acknowledged entries may be missing, `.foreign` when backend, journal and `partitions` don't
    ///   belong together, `.full` when there is no room for the journal, or what the backend throws. Then backend and folder
    ///   are still the caller's to close.
    public convenience init(
        folder: DataFolder, backend: any StorageBackend, partitions: Int, settings: Settings,
        notify: @escaping @Sendable (StorageEvent) -> Void
    ) throws(StorageError) {
        try self.init(
            folder: folder, backend: backend, partitions: partitions, settings: settings, driver: .threads,
            notify: notify)
    }

    init(
        folder: DataFolder, backend: any StorageBackend, partitions: Int, settings: Settings, driver: WorkerDriver,
        notify: @escaping @Sendable (StorageEvent) -> Void
    ) throws(StorageError) {
        self.settings = settings
        self.folder = folder
        self.backend = backend
        var opening = try StorageOpening(
            backend: backend, partitions: partitions, seed: settings.seed, folder: folder.identity)
        let recovered = try opening.replay(folder.journal, segmentBytes: settings.segmentBytes)
        view = opening.view
        let core = try Journal(recovered, segmentBytes: settings.segmentBytes)
        appended = core.durable
        durable = core.durable
        flushed = opening.applied ?? core.durable
        frame = JournalFrame(firstPosition: core.durable + 1)
        journal = try JournalThread(
            core, driver: driver, retryMilliseconds: settings.retryMilliseconds, notify: notify)
        do {
            flusher = try FlusherThread(
                backend, driver: driver, retryMilliseconds: settings.retryMilliseconds, notify: notify)
        } catch {
            try journal.finish(applied: nil)
            throw error
        }
        flushSign = FlushSign(!view.active.isEmpty)
        do {
            scrub = try NodeStorage.makeScrub(
                backend, partitions: partitions, settings: settings, sign: flushSign, driver: driver,
                notify: notify)
        } catch {
            _ = try flusher.finish(abandoning: true)
            try journal.finish(applied: nil)
            throw error
        }
        journal.release(upTo: flushed)
    }

    deinit {
        // Not stopped: as after a crash, the journal keeps what the backend lacks.
        if !isStopped { abandon() }
    }

    // MARK: Partitions

    /// What this node must never forget about the partition, with what is staged. O(1).
    public func state(of partition: PartitionID) -> PartitionState {
        view.states[Int(partition.rawValue)]
    }

    /// The digest of what reads see of the partition. O(1), but O(keys of the partition) once after `doubtDigest`.
    public func digest(of partition: PartitionID) -> PartitionDigest {
        settleDigest(of: Int(partition.rawValue))
        return view.digests[Int(partition.rawValue)]
    }

    /// Says that a record was replaced whose version could not be read. The digest is computed anew from the stored
    /// versions before it is told or stored the next time: however many records were, once. Until the partition can be
    /// read, it differs from everybody's. O(1).
    public func doubtDigest(of partition: PartitionID) {
        doubtfulDigests.insert(Int(partition.rawValue))
    }

    func settleDigest(of index: Int) {
        guard doubtfulDigests.contains(index) else { return }
        do {
            try view.recomputeDigest(of: PartitionID(UInt16(index)))
            doubtfulDigests.remove(index)
        } catch {
            // It stays doubtful; that the partition can't be read shows in its reads and walks.
        }
    }

    // MARK: Reads

    /// The newest record of the key, tombstones included.
    /// - Throws: what the backend throws, `.damaged` among it.
    public func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try view.read(partition, key)
    }

    /// The version of the record that `read` returns.
    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        try view.version(partition, key)
    }

    /// One page of what `read` would return, in order of key bytes, tombstones included. A page may hold fewer entries
    /// than asked for although more follow; one that is not the last holds at least one.
    public func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        try view.scan(request)
    }

    /// A value of the node's own metadata, with what is staged.
    public func node(_ name: String) throws(StorageError) -> [UInt8]? {
        try view.node(name)
    }
}
