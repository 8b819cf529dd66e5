public import KVProtocols
import Synchronization

/// One file per key: `ls` in the data folder lists the keys, and `cat mykey` prints the value.
///
/// The record's header sits in the extended attribute `user.kv.record`, set before the file gets its name. Deleted
/// keys and metadata lie in hidden folders. A batch is written as temporary files that are synced, renamed one after
/// the other, and completed with one sync per folder: after a crash each key has its old or its new record. Keys (not
/// values) are held in memory in order, for scans.
///
/// A key lies in the partition that its slot says, because a file's name has no room for another.
public final class FileBackend: StorageBackend {
    /// The entry for the registry: type `file`, no options.
    public static let factory = BackendFactory(
        type: "file", summary: "one plain file per key, readable with ls and cat"
    ) { context throws(StorageError) in
        try FileBackend(context)
    }

    /// Constant: batches are applied in order but not atomically; scans in O(limit). A power cut amid a batch leaves its
    /// beginning only where the file system keeps the order of new names also between folders (ext4, XFS); elsewhere it
    /// may leave any part.
    public let capabilities = BackendCapabilities(
        atomicBatches: false, durable: true, orderedScan: true,
        maximumValueLength: FileFolders.longestValue)

    /// A page of a scan ends after this many bytes of values.
    private static let pageBytes = 16 << 20

    let partitions: Int
    let path: String
    /// One for each partition.
    let shards: [FileShard]
    let isPoisoned = Atomic<Bool>(false)
    /// Held while a batch is applied: batches never overlap. Holds the number of the next temporary file.
    let writing = Mutex<UInt64>(0)
    private let ignored: Int

    /// Opens the folder: removes what an interrupted batch left, and lists the keys. O(number of keys).
    /// - Throws: `.unsupported` on a file system without user extended attributes or with inexact names, `.readOnly`,
    ///   `.full`, `.io`.
    public init(_ context: BackendContext) throws(StorageError) {
        guard 1...Slot.count ~= context.partitions else {
            throw StorageError(.invalid, "\(context.partitions) partitions; use 1 to \(Slot.count)")
        }
        partitions = context.partitions
        path = context.path
        let loader = try FileLoader(path, partitions: partitions)
        ignored = loader.ignored
        shards = loader.indexes.map { FileShard(folders: loader.folders, index: $0) }
    }

    // MARK: Reading

    /// See `StorageBackend.read`. Opens one file.
    public func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try find(partition, key) { folders, place throws(StorageError) in try folders.record(place, key) }
    }

    /// See `StorageBackend.version`. Opens one file, reads its attribute only.
    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        try find(partition, key) { folders, place throws(StorageError) in try folders.header(place, key)?.version }
    }

    /// Looks the key up and hands its place to `body`, which returns `nil` when the file is gone. A batch may have
    /// moved the record in between: then the index says so by now.
    private func find<Result>(
        _ partition: PartitionID, _ key: Key,
        _ body: (FileFolders, KeyIndex.Place) throws(StorageError) -> Result?
    ) throws(StorageError) -> Result? {
        guard Int(partition.rawValue) < partitions else {
            _ = try openFolders()
            return nil
        }
        var last: KeyIndex.Place?
        while true {
            let (folders, place) = try withShard(partition) { shard, folders in (folders, shard.index.place(of: key)) }
            guard let place else { return nil }
            if let found = try body(folders, place) { return found }
            guard place != last else {
                throw StorageError(
                    .damaged, "the file of a key is gone: it was removed by hand, and has to come from another replica",
                    path: folders[place].path)
            }
            last = place
        }
    }

    /// See `StorageBackend.scan`. Opens a file for each entry, also without values.
    public func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        guard Int(request.partition.rawValue) < partitions else { return ScanPage(entries: [], isLast: true) }
        let (keys, isLast) = try withShard(request.partition) { shard, _ in
            shard.index.page(after: request.after, prefix: request.prefix, limit: max(request.limit, 1))
        }
        var entries: [ScanPage.Entry] = []
        var bytes = 0
        for key in keys {
            guard bytes < FileBackend.pageBytes else { return ScanPage(entries: entries, isLast: false) }
            do throws(StorageError) {
                // A key that was purged since the index was asked is no longer an entry.
                guard let record = try record(request.partition, key, withValue: request.values) else { continue }
                bytes += record.value?.count ?? 0
                entries.append(ScanPage.Entry(key: key, record: record))
            } catch  where error.code == .damaged {
                entries.append(ScanPage.Entry(key: key, record: nil))
            }
        }
        // An empty page that is not the last would leave the caller without a key to go on from.
        if entries.isEmpty, !isLast, let last = keys.last {
            var next = request
            next.after = last
            return try scan(next)
        }
        return ScanPage(entries: entries, isLast: isLast)
    }

    private func record(_ partition: PartitionID, _ key: Key, withValue: Bool) throws(StorageError) -> Record? {
        if withValue { return try read(partition, key) }
        return try find(partition, key) { folders, place throws(StorageError) in
            try folders.header(place, key)?.record(value: [])
        }
    }

    /// See `StorageBackend.metadata`. Opens one file.
    public func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try MetadataScope.validate(name: name)
        let folders = try openFolders()
        return try folders.metadataValue(FileFolders.name(scope, name))
    }

    /// See `StorageBackend.statistics`. Keys are exact, the space on the disk is estimated from a sample of files.
    public func statistics() throws(StorageError) -> BackendStatistics {
        let folders = try openFolders()
        var count = 0
        var sample: [(key: Key, place: KeyIndex.Place)] = []
        for shard in shards {
            shard.state.withLock { shard in
                count += shard.index.count
                sample += shard.index.sample(4)
            }
        }
        let sampled = sample.reduce(0) { $0 + folders[$1.place].size(of: FileName.name(of: $1.key)) }
        let bytes = sample.isEmpty ? 0 : Double(sampled) / Double(sample.count) * Double(count)
        return BackendStatistics(
            keys: UInt64(count), bytesOnDisk: UInt64(bytes), bytesFree: try folders.values.free(),
            details: [("ignored_files", UInt64(ignored))])
    }

    /// Runs `body` while the partition's index stands still.
    func withShard<Result: Sendable>(
        _ partition: PartitionID, _ body: (inout FileShard.State, FileFolders) -> Result
    ) throws(StorageError) -> Result {
        try shards[Int(partition.rawValue)].state.withLock { shard throws(StorageError) in
            body(&shard, try usable(shard.folders))
        }
    }

    func openFolders() throws(StorageError) -> FileFolders {
        try shards[0].state.withLock { shard throws(StorageError) in try usable(shard.folders) }
    }

    private func usable(_ folders: FileFolders?) throws(StorageError) -> FileFolders {
        guard let folders else { throw StorageError(.closed, "the file backend is closed", path: path) }
        guard !isPoisoned.load(ordering: .relaxed) else {
            throw StorageError(.poisoned, "an earlier fsync failed; restart the node to open it anew", path: path)
        }
        return folders
    }

    // MARK: Closing

    /// Lets go of the folder as soon as the calls that run have ended.
    public func close() throws(StorageError) {
        for shard in shards {
            shard.state.withLock { shard in
                shard.folders = nil
                shard.index = KeyIndex()
            }
        }
    }

    /// Closes, and removes the files of all keys and the hidden folders; other files stay.
    public func destroy() throws(StorageError) {
        let folders = try openFolders()
        let indexes = shards.map { shard in shard.state.withLock { $0.index } }
        try close()
        for index in indexes {
            for key in index.page(after: nil, prefix: [], limit: .max).keys {
                try folders.values.remove(FileName.name(of: key))
            }
        }
        for (folder, name) in zip([folders.tombstones, folders.metadata, folders.temporary], FileFolders.hidden) {
            var names: [String] = []
            _ = try folder.forEachFile { names.append($0) }
            for name in names { try folder.remove(name) }
            try folders.values.removeFolder(name)
        }
    }
}
