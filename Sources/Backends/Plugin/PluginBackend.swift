import CPlugin
public import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An engine out of a shared library that was built without this program; `kv_backend.h` is what both agree on.
///
/// What the engine is told is checked before, and what it answers is not trusted: records are verified, scans have to be in
/// order, lengths to be possible, codes to be known. Reads run side by side with each other and with `apply` if the
/// engine lets them; `close` waits for them. The code of the library runs in this process, with all its rights.
public final class PluginBackend: StorageBackend {
    /// The entry for the registry: type `plugin`; option `library` names the shared library, others are the engine's.
    public static let factory = BackendFactory(
        type: "plugin", summary: "an engine out of a shared library: docs/plugins.md", options: [libraryOption],
        loadsLibrary: true
    ) { context throws(StorageError) in
        try PluginBackend(context)
    }

    /// The option that names the library: a path with a slash, relative to the working directory, or a bare name, which
    /// is looked for where the system looks for libraries.
    public static let libraryOption = BackendFactory.libraryOption

    /// What the library says about its engine.
    public let capabilities: BackendCapabilities

    private let store: PluginStore
    private let partitions: Int
    private let longestRecord: Int
    /// The interface promises one batch at a time.
    private let writing = Mutex<Void>(())

    /// Loads the library and opens the store, or creates it in an empty folder.
    /// - Throws: `.invalid` when there is no such library or it can't be loaded, `.unsupported` when it is no engine for
    ///   this version of the interface, and what the engine says.
    public init(_ context: BackendContext) throws(StorageError) {
        let library = try PluginBackend.library(context)
        capabilities = library.capabilities
        partitions = context.partitions
        longestRecord = RecordHeader.length + library.capabilities.maximumValueLength
        store = try PluginStore(library, context)
    }

    /// What a data folder of this engine is marked with: `plugin:` and the engine's own name, so that one engine never
    /// opens another's folder. Loads the library.
    public static func folderType(_ context: BackendContext) throws(StorageError) -> String {
        "plugin:\(try library(context).type)"
    }

    private static func library(_ context: BackendContext) throws(StorageError) -> PluginLibrary {
        guard let name = context.options[libraryOption]?.string else {
            throw StorageError(
                .invalid, "the backend \"plugin\" needs the path of a shared library: its option library")
        }
        return try PluginLibrary(name)
    }

    // MARK: Reading

    /// See `StorageBackend.read`.
    public func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        guard isPossible(partition, key) else { return try nothing() }
        return try look(up: key.bytes, KV_RECORDS, UInt32(partition.rawValue), .record(key)).record
    }

    /// See `StorageBackend.version`: asks for the first 38 bytes of the record.
    public func version(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Version? {
        guard isPossible(partition, key) else { return try nothing() }
        return try look(
            up: key.bytes, KV_RECORDS, UInt32(partition.rawValue), .header, maximumBytes: RecordHeader.length
        ).header?.version
    }

    /// See `StorageBackend.metadata`.
    public func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        if case .partition(let partition) = scope, Int(partition.rawValue) >= partitions { return try nothing() }
        guard 1...64 ~= name.utf8.count else { return try nothing() }
        return try look(up: Array(name.utf8), KV_METADATA, scope.partitionNumber, .metadata(scope, name)).metadata
    }

    /// Whether the engine may have such a key; it is never asked for others.
    private func isPossible(_ partition: PartitionID, _ key: Key) -> Bool {
        Int(partition.rawValue) < partitions && 1...Key.maximumLength ~= key.bytes.count
    }

    /// The answer for what can't be there.
    private func nothing<Value>() throws(StorageError) -> Value? {
        try store.requireOpen()
        return nil
    }

    private func look(
        up key: [UInt8], _ space: Int, _ partition: UInt32, _ wish: PluginReply.Wish, maximumBytes: Int = 0
    ) throws(StorageError) -> PluginReply {
        let longest =
            space == KV_RECORDS ? longestRecord : MetadataScope.maximumValueLength + PluginRecord.checksumLength
        let what = space == KV_RECORDS ? "a record of partition \(partition)" : "metadata"
        var reply = PluginReply(wish, longest: longest)
        try store.use("a look-up failed") { handle, error in
            key.withUnsafeBytes { key in
                withUnsafeMutablePointer(to: &reply) { reply in
                    store.library.functions.read(
                        handle, UInt32(space), partition, kv_span(key), maximumBytes, PluginReply.sink, reply, error)
                }
            }
        }
        guard reply.calls <= 1 else { throw store.breach("a read hands over more than one value") }
        guard !reply.isDamaged else {
            throw StorageError(
                .damaged, "\(what) fails verification; it has to come from another replica", path: store.path)
        }
        return reply
    }

    /// See `StorageBackend.scan`.
    public func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        guard Int(request.partition.rawValue) < partitions else {
            try store.requireOpen()
            return ScanPage(entries: [], isLast: true)
        }
        var page = PluginPage(request, longest: longestRecord)
        // What is greater than a longer text than any key is what is greater than its first bytes.
        let start = (request.after?.bytes ?? []).prefix(Key.maximumLength)
        try store.use("a partition can't be scanned") { handle, error in
            start.withUnsafeBytes { after in
                request.prefix.withUnsafeBytes { prefix in
                    var scan = kv_scan(
                        partition: UInt32(request.partition.rawValue), reserved: 0, after: kv_span(after),
                        prefix: kv_span(prefix), max_bytes: request.values ? 0 : RecordHeader.length)
                    return withUnsafeMutablePointer(to: &page) { page in
                        store.library.functions.scan(handle, &scan, PluginPage.visit, page, error)
                    }
                }
            }
        }
        if let breach = page.breach { throw store.breach(breach) }
        return ScanPage(entries: page.entries, isLast: !page.hasMore)
    }

    // MARK: Writing

    /// See `StorageBackend.apply`. Copies the batch once. A failure that the interface does not call harmless poisons.
    public func apply(_ batch: [StorageOperation]) throws(StorageError) {
        try StorageOperation.validate(
            batch, partitions: partitions, maximumValueLength: capabilities.maximumValueLength)
        guard !batch.isEmpty else { return try store.requireOpen() }
        let converted = PluginBatch(batch)
        try writing.withLock { _ throws(StorageError) in
            var isHarmless = true
            do throws(StorageError) {
                try store.use("a batch can't be applied") { handle, error in
                    let code = converted.operations.withUnsafeBufferPointer {
                        store.library.functions.apply(handle, $0.baseAddress, $0.count, error)
                    }
                    isHarmless = PluginBackend.leavesStoreWorking(code)
                    if !isHarmless { store.poison() }
                    return code
                }
            } catch {
                var error = error
                if !isHarmless { error.code = .poisoned }
                throw error
            }
        }
    }

    private static func leavesStoreWorking(_ code: Int32) -> Bool {
        [KV_OK, KV_FULL, KV_READ_ONLY, KV_INVALID, KV_UNSUPPORTED].contains(Int(code))
    }

    // MARK: The store

    /// See `StorageBackend.statistics`. What the engine says, and the free space of the file system.
    public func statistics() throws(StorageError) -> BackendStatistics {
        var found = kv_statistics()
        try store.use("statistics can't be read") { handle, error in
            store.library.functions.statistics(handle, &found, error)
        }
        guard found.figure_count <= UInt32(KV_MAXIMUM_FIGURES) else {
            throw store.breach("it has \(found.figure_count) figures")
        }
        var details: [(name: String, value: UInt64)] = []
        withUnsafeBytes(of: found.figures) { bytes in
            for figure in bytes.bindMemory(to: kv_figure.self).prefix(Int(found.figure_count)) {
                details.append((PluginText.field(figure.name), figure.value))
            }
        }
        for detail in details where !PluginText.isWord(detail.name) {
            throw store.breach("a figure's name is not of a-z0-9_")
        }
        var disk = statvfs()
        guard statvfs(store.path, &disk) == 0 else {
            throw StorageError(
                .io, "the file system can't be asked for its free space", cause: String(cString: strerror(errno)),
                path: store.path)
        }
        return BackendStatistics(
            keys: found.keys, bytesOnDisk: found.bytes_on_disk,
            bytesFree: UInt64(disk.f_bavail) * UInt64(disk.f_frsize), details: details)
    }

    /// Waits for reads that run, then lets the engine close.
    public func close() throws(StorageError) {
        _ = try store.end("the store can't be closed", evenIfPoisoned: true) { handle, error in
            store.library.functions.close(handle, error)
        }
    }

    /// Waits for reads that run, then lets the engine close and remove what it stored.
    public func destroy() throws(StorageError) {
        let wasOpen = try store.end("the store can't be removed", evenIfPoisoned: false) { handle, error in
            store.library.functions.destroy(handle, error)
        }
        guard wasOpen else { throw store.closed }
    }
}
