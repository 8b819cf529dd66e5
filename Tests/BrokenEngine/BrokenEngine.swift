import Glibc
public import KVProtocols
import Synchronization

/// A small engine that is right, or broken in one way, to see whether the conformance suite notices. It does real I/O: batches
/// are appended to the file `log`, and the file `end`, replaced by renaming, says up to where they are committed.
public final class BrokenEngine: StorageBackend {
    public enum Fault: String, CaseIterable, Sendable {
        case none
        /// Leaves the log to the kernel.
        case acknowledgesBeforeSync
        /// Doesn't sync the folder behind the new name.
        case renamesWithoutFolderSync
        /// Takes the names that it finds for durable.
        case opensWithoutSync
        /// Makes nothing durable.
        case neverSyncs
        /// Lets nobody read while it waits for the disk.
        case locksReadersOut
        /// Throws when somebody reads while it waits for the disk.
        case refusesReadersMeanwhile
        /// Says where the log ends before it does.
        case commitsBeforeLog
        /// Takes a write that the disk had no space for as done.
        case ignoresFull
        /// Takes a sync that failed as done.
        case ignoresFailedSync
        /// Writes the log through a descriptor that syncs, and takes a write that failed as done.
        case ignoresFailedDirectWrite
        /// Writes the log with calls that sync, and takes one that failed as done.
        case ignoresFailedFlaggedWrite
        /// Reports a failed sync, and goes on as if nothing had happened.
        case forgetsPoison
        /// Believes what it reads.
        case servesWithoutChecksum
        /// Takes a read that failed as a value of zeroes.
        case inventsOnFailedRead
        /// Ends the process when no file can be opened.
        case diesWithoutDescriptor
        /// Takes a log that was cut off for a good one, and loses what it read first.
        case losesOldRecords
    }

    /// Types `broken_none`, `broken_ignoresFull` and so on.
    public static let factories = Fault.allCases.map(factory)

    public static func factory(_ fault: Fault) -> BackendFactory {
        BackendFactory(type: "broken_\(fault.rawValue)", summary: "for tests") { context throws(StorageError) in
            try BrokenEngine(fault, context)
        }
    }

    struct State {
        var log: LogFile?
        var index = LogIndex()
        var isPoisoned = false
        var isWriting = false
    }

    public let capabilities = BackendCapabilities(
        atomicBatches: true, durable: true, orderedScan: false)
    private let fault: Fault
    private let partitions: Int
    private let path: String
    private let state: Mutex<State>
    private let writing = Mutex<Void>(())

    init(_ fault: Fault, _ context: BackendContext) throws(StorageError) {
        self.fault = fault
        partitions = context.partitions
        path = context.path
        let log = try LogFile(context.path, fault)
        state = Mutex(State(log: log, index: try LogIndex(log, fault)))
    }

    private func with<Result>(
        _ body: (inout State, LogFile) throws(StorageError) -> sending Result
    ) throws(StorageError) -> sending Result {
        try state.withLock { state throws(StorageError) in
            guard let log = state.log else { throw StorageError(.closed, "the engine is closed") }
            guard !state.isPoisoned else { throw StorageError(.poisoned, "a sync failed; open the folder again") }
            return try body(&state, log)
        }
    }

    public func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try with { state, log throws(StorageError) in
            guard !state.isWriting || fault != .refusesReadersMeanwhile else {
                throw StorageError(.io, "a batch is being written")
            }
            guard let place = state.index.records[partition]?[key] else { return nil }
            return try record(key, place, log)
        }
    }

    private func record(_ key: Key, _ place: LogIndex.Place, _ log: LogFile) throws(StorageError) -> Record {
        let record = place.header.record(value: try log.read(place.offset, place.header.valueLength))
        guard fault == .servesWithoutChecksum || fault == .inventsOnFailedRead || record.isIntact(for: key) else {
            throw StorageError(.damaged, "a record fails verification", path: path)
        }
        return record
    }

    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        try with { state, _ throws(StorageError) in state.index.records[partition]?[key]?.header.version }
    }

    public func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        try with { state, log throws(StorageError) in
            let all = (state.index.records[request.partition] ?? [:]).filter { key, _ in
                request.after.map { $0 < key } ?? true && key.hasPrefix(request.prefix)
            }.sorted { $0.key < $1.key }
            var entries: [ScanPage.Entry] = []
            for (key, place) in all.prefix(request.limit) {
                guard request.values else {
                    entries.append(ScanPage.Entry(key: key, record: place.header.record(value: [])))
                    continue
                }
                do throws(StorageError) {
                    entries.append(ScanPage.Entry(key: key, record: try record(key, place, log)))
                } catch  where error.code == .damaged {
                    entries.append(ScanPage.Entry(key: key, record: nil))
                }
            }
            return ScanPage(entries: entries, isLast: all.count <= request.limit)
        }
    }

    public func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try with { state, log throws(StorageError) in
            guard let place = state.index.metadata[scope]?[name] else { return nil }
            let value = try log.read(place.offset, place.length)
            guard fault == .servesWithoutChecksum || CRC32C.checksum(value) == place.checksum else {
                throw StorageError(.damaged, "metadata fails verification", path: path)
            }
            return value
        }
    }

    public func apply(_ batch: [StorageOperation]) throws(StorageError) {
        for operation in batch {
            try operation.validate(partitions: partitions, maximumValueLength: capabilities.maximumValueLength)
        }
        try writing.withLock { _ throws(StorageError) in
            var log = try with { _, log throws(StorageError) in log }
            var index = try with { state, _ throws(StorageError) in state.index }
            guard !batch.isEmpty else { return }
            state.withLock { $0.isWriting = true }
            defer { state.withLock { $0.isWriting = false } }
            do throws(StorageError) {
                let bytes = index.append(batch, at: log.end)
                if fault == .locksReadersOut {
                    log = try state.withLock { _ throws(StorageError) in try log.committing(bytes) }
                } else {
                    try log.commit(bytes)
                }
            } catch {
                if error.code == .poisoned, fault != .forgetsPoison { state.withLock { $0.isPoisoned = true } }
                throw error
            }
            try with { state, _ throws(StorageError) in
                state.log = log
                state.index = index
            }
        }
    }

    public func statistics() throws(StorageError) -> BackendStatistics {
        try with { state, log throws(StorageError) in
            var disk = statvfs()
            statvfs(path, &disk)
            return BackendStatistics(
                keys: UInt64(state.index.records.values.reduce(0) { $0 + $1.count }), bytesOnDisk: UInt64(log.end),
                bytesFree: UInt64(disk.f_bavail) * UInt64(disk.f_frsize))
        }
    }

    public func close() throws(StorageError) {
        writing.withLock { _ in
            state.withLock { state in
                state.log?.close()
                state.log = nil
            }
        }
    }

    public func destroy() throws(StorageError) {
        try with { _, _ throws(StorageError) in }
        try close()
        for name in ["log", "end", "end.new"] { unlink("\(path)/\(name)") }
    }
}
