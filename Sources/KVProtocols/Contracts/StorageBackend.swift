/// A storage engine for one node (or for the controller's state).
///
/// Plain, synchronous, blocking code. **Threads:** `apply`, `close` and `destroy` are called by one thread at a time,
/// never concurrently with each other; `read`, `version`, `scan`, `metadata` and `statistics` are called from any
/// thread, also while `apply` runs, and see the state before or after that batch, per key never a mix. They don't wait
/// for the disk while `apply` does.
/// **Durability:** what `apply` was given is on the disk (an fsync reached it) when it returns. After a crash a prefix
/// of the last batch is present, or all or nothing of it where `capabilities.atomicBatches` is set; every earlier batch
/// is present. What an engine gives out once it is open is on the disk, too, also what a process left that ended before its
/// sync: callers forget their own copy of it. **Poison:** after a failed fsync or commit every call but `close` throws `.poisoned` until the folder is
/// opened again. **Damage:** a record whose checksum does not match its key and content is never returned; the call
/// throws `.damaged`.
///
/// Implementing one: see `KVConformance` for the suite that it must pass.
public protocol StorageBackend: AnyObject, Sendable {
    /// What this engine can do; constant over its life. O(1).
    var capabilities: BackendCapabilities { get }

    /// The newest applied record of `key`, tombstones included; `nil` when there is none. Cost: one point look-up.
    /// - Throws: `.damaged` when the stored bytes fail verification, `.io`, `.poisoned`, `.closed`.
    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record?

    /// The version of the record that `read` would return, without its value. Header checks only: a value that is
    /// damaged may go unnoticed here. Default: `read`.
    func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version?

    /// Up to `request.limit` entries in ascending order of key bytes. Cost: O(limit) where
    /// `capabilities.orderedScan` is set, otherwise up to O(keys of the partition).
    /// A damaged record appears as an entry without a record; the scan goes on.
    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage

    /// Applies the operations in order and returns once they are durable. A later operation on a key replaces an
    /// earlier one; versions are not compared. Callers give batches of 1 to about 100,000 operations, sorted by partition and key
    /// between two wipes where they can.
    /// - Throws: `.full` when the disk is full: then no operation, or a prefix, was applied, and the backend goes on
    ///   working. `.poisoned` after a failed commit or fsync: the outcome is unknown until the folder is reopened.
    func apply(_ batch: [StorageOperation]) throws(StorageError)

    /// A small named value of the node or of a partition; `nil` when absent. Cost: one point look-up.
    func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]?

    /// Figures for a person and for metrics. May be estimates where exact ones need a scan. Cheap enough for once a second.
    func statistics() throws(StorageError) -> BackendStatistics

    /// Releases every resource. Data stays. Afterwards every call throws `.closed`; closing twice is harmless.
    func close() throws(StorageError)

    /// Closes and deletes everything that this backend stored in its folder, and nothing else.
    func destroy() throws(StorageError)
}

extension StorageBackend {
    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        try read(partition, key)?.version
    }
}

/// One change of a batch.
public enum StorageOperation: Hashable, Sendable {
    /// Stores the record, replacing what the key had.
    case put(PartitionID, Key, Record)
    /// Forgets the key entirely; nothing happens when it is absent.
    case purge(PartitionID, Key)
    /// Stores the named value, or removes it when `nil`. At most 1 MiB; names are 1 to 64 bytes of `a-z0-9_`.
    case metadata(MetadataScope, String, [UInt8]?)
    /// Forgets every key and all metadata of the partition.
    case wipe(PartitionID)
}

/// Whose metadata.
public enum MetadataScope: Hashable, Sendable {
    case node
    case partition(PartitionID)
}

/// What `scan` shall return.
public struct ScanRequest: Hashable, Sendable {
    public var partition: PartitionID
    /// Only keys greater than this one.
    public var after: Key?
    /// Only keys that start with these bytes; empty means all.
    public var prefix: [UInt8]
    /// At least 1. A page may hold fewer entries than that although more follow; `ScanPage.isLast` tells.
    public var limit: Int
    /// Whether entries carry values. Without, `record.value` of a live record is an empty array, and only the
    /// header was verified.
    public var values: Bool

    public init(partition: PartitionID, after: Key? = nil, prefix: [UInt8] = [], limit: Int, values: Bool = true) {
        self.partition = partition
        self.after = after
        self.prefix = prefix
        self.limit = limit
        self.values = values
    }
}

/// One page of a scan.
public struct ScanPage: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var key: Key
        /// `nil` when the stored bytes failed verification.
        public var record: Record?

        public init(key: Key, record: Record?) {
            self.key = key
            self.record = record
        }
    }

    public var entries: [Entry]
    /// `true` when no key of the request follows the last entry.
    public var isLast: Bool

    public init(entries: [Entry], isLast: Bool) {
        self.entries = entries
        self.isLast = isLast
    }
}

/// What an engine can do; switches tests of the conformance suite, and choices of the node, on and off.
public struct BackendCapabilities: Hashable, Sendable {
    /// After a crash a batch is present as a whole or not at all.
    public var atomicBatches: Bool
    /// Data survives the process. Only the memory backend says no; a replicated node refuses such an engine unless told.
    public var durable: Bool
    /// `scan` costs O(limit), not O(keys).
    public var orderedScan: Bool
    /// The longest value in bytes.
    public var maximumValueLength: Int

    public init(
        atomicBatches: Bool, durable: Bool, orderedScan: Bool,
        maximumValueLength: Int = 64 << 20
    ) {
        self.atomicBatches = atomicBatches
        self.durable = durable
        self.orderedScan = orderedScan
        self.maximumValueLength = maximumValueLength
    }
}

/// Figures of an engine.
public struct BackendStatistics: Hashable, Sendable {
    /// Records, tombstones included.
    public var keys: UInt64
    public var bytesOnDisk: UInt64
    /// Free space on the disk under the folder.
    public var bytesFree: UInt64
    /// Engine-specific figures; names are `a-z0-9_` and become part of metric names.
    public var details: [(name: String, value: UInt64)]

    public init(
        keys: UInt64, bytesOnDisk: UInt64, bytesFree: UInt64, details: [(name: String, value: UInt64)] = []
    ) {
        self.keys = keys
        self.bytesOnDisk = bytesOnDisk
        self.bytesFree = bytesFree
        self.details = details
    }

    public static func == (left: BackendStatistics, right: BackendStatistics) -> Bool {
        left.keys == right.keys && left.bytesOnDisk == right.bytesOnDisk && left.bytesFree == right.bytesFree
            && left.details.elementsEqual(right.details) { $0.name == $1.name && $0.value == $1.value }
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(keys)
        hasher.combine(bytesOnDisk)
        hasher.combine(bytesFree)
    }
}
