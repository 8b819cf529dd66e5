import Foundation
import KVProtocols
import Synchronization

/// Keeps everything in memory, and on the disk one file for each batch.
final class GuideBackend: StorageBackend {
    static let factory = BackendFactory(
        type: "guide", summary: "one file a batch: the example of the guide", options: ["files"]
    ) { context throws(StorageError) in
        try GuideBackend(context)
    }

    /// What is stored, as of the last batch that is durable.
    private struct State {
        var records: [PartitionID: [Key: Record]] = [:]
        var metadata: [MetadataScope: [String: GuideValue]] = [:]
        /// Numbers of the files, in order.
        var files: [Int] = []
        var isClosed = false
        var isPoisoned = false
    }

    let capabilities = BackendCapabilities(
        atomicBatches: true, durable: true, orderedScan: false)
    private let folder: GuideFolder
    private let partitions: Int
    private let maximumFiles: Int
    private let state: Mutex<State>

    init(_ context: BackendContext) throws(StorageError) {
        folder = GuideFolder(path: context.path)
        partitions = context.partitions
        maximumFiles = Int(clamping: context.options["files"]?.integer ?? 100)
        guard maximumFiles > 0 else { throw StorageError(.invalid, "the option files must be 1 or more") }
        // A process that was killed may have renamed a file and not come to this.
        try folder.sync()
        var loaded = State()
        loaded.files = try folder.numbers()
        for number in loaded.files {
            for change in try GuideChange.decode(try folder.read(number)) { GuideBackend.apply(change, to: &loaded) }
        }
        state = Mutex(loaded)
    }

    private func withOpen<Result>(
        _ body: (inout State) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try state.withLock { (state) throws(StorageError) in
            guard !state.isClosed else { throw StorageError(.closed, "the store is closed") }
            guard !state.isPoisoned else {
                throw StorageError(.poisoned, "an earlier sync failed; restart the process", path: folder.path)
            }
            return try body(&state)
        }
    }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try withOpen { (state) throws(StorageError) in
            guard let record = state.records[partition]?[key] else { return nil }
            guard record.isIntact(for: key) else {
                throw StorageError(.damaged, "a record fails verification; it has to come from another replica")
            }
            return record
        }
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> ScanPage {
        try withOpen { (state) throws(StorageError) in
            let all = state.records[request.partition] ?? [:]
            let keys = all.keys.filter { key in
                key.hasPrefix(request.prefix) && (request.after.map { $0 < key } ?? true)
            }.sorted()
            let entries = keys.prefix(request.limit).map { key in
                var record = all[key].flatMap { $0.isIntact(for: key) ? $0 : nil }
                if !request.values, record?.isTombstone == false { record?.value = [] }
                return ScanPage.Entry(key: key, record: record)
            }
            return ScanPage(entries: entries, isLast: entries.count == keys.count)
        }
    }

    func metadata(_ scope: MetadataScope, _ name: String) throws(StorageError) -> [UInt8]? {
        try withOpen { (state) throws(StorageError) in
            guard let value = state.metadata[scope]?[name] else { return nil }
            guard value.isIntact else { throw StorageError(.damaged, "the metadata \(name) fails verification") }
            return value.bytes
        }
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        for operation in batch {
            try operation.validate(partitions: partitions, maximumValueLength: capabilities.maximumValueLength)
        }
        let files = try withOpen { $0.files }
        guard !batch.isEmpty else { return }
        let changes = batch.map(GuideChange.init)
        let number = (files.last ?? 0) + 1
        try write(number, changes)
        try withOpen { state in
            for change in changes { GuideBackend.apply(change, to: &state) }
            state.files.append(number)
        }
        if files.count + 1 > maximumFiles { try compact() }
    }

    /// - Throws: `.full` when nothing was changed, `.poisoned` when nobody knows.
    private func write(_ number: Int, _ changes: [GuideChange]) throws(StorageError) {
        do {
            try folder.write(number, (changes + [.end]).flatMap(\.bytes))
        } catch {
            if error.code == .poisoned { state.withLock { $0.isPoisoned = true } }
            throw error
        }
    }

    /// Replaces all files by one. It begins with `.clear`, so older files that a crash leaves do no harm.
    private func compact() throws(StorageError) {
        let old = try withOpen { $0 }
        var changes: [GuideChange] = [.clear]
        for (partition, records) in old.records {
            changes += records.map { .put(partition, $0.key, $0.value) }
        }
        for (scope, values) in old.metadata { changes += values.map { .metadata(scope, $0.key, $0.value) } }
        let number = (old.files.last ?? 0) + 1
        do {
            try write(number, changes)
        } catch  where error.code == .full {
            // The batch is stored; there will be room for this another time.
            return
        }
        // Before anything else can fail: the next batch must not take the same number.
        try withOpen { $0.files = [number] }
        do {
            try folder.remove(old.files)
        } catch {
            // Nobody knows which are left. Whoever opens the folder again looks.
            state.withLock { $0.isPoisoned = true }
            throw StorageError(
                .poisoned, "old files can't be removed; restart the process", cause: "\(error)", path: folder.path)
        }
    }

    private static func apply(_ change: GuideChange, to state: inout State) {
        switch change {
        case .put(let partition, let key, let record): state.records[partition, default: [:]][key] = record
        case .purge(let partition, let key): state.records[partition]?[key] = nil
        case .metadata(let scope, let name, let value): state.metadata[scope, default: [:]][name] = value
        case .wipe(let partition):
            state.records[partition] = nil
            state.metadata[.partition(partition)] = nil
        case .clear:
            state.records = [:]
            state.metadata = [:]
        case .end: break
        }
    }

    func statistics() throws(StorageError) -> BackendStatistics {
        try withOpen { (state) throws(StorageError) in
            BackendStatistics(
                keys: UInt64(state.records.values.reduce(0) { $0 + $1.count }),
                bytesOnDisk: try folder.bytes(of: state.files), bytesFree: try folder.bytesFree(),
                details: [(name: "files", value: UInt64(state.files.count))])
        }
    }

    func close() throws(StorageError) {
        state.withLock { state in
            state.isClosed = true
            state.records = [:]
        }
    }

    func destroy() throws(StorageError) {
        try withOpen { (state) throws(StorageError) in
            state.isClosed = true
            try folder.remove(state.files)
        }
    }
}

/// A value of metadata with its checksum.
struct GuideValue: Sendable {
    var bytes: [UInt8]
    var checksum: UInt32

    var isIntact: Bool { CRC32C.checksum(bytes) == checksum }
}

/// One change as a file holds it: u32 length of the head, u32 length of the value, u32 CRC32C of the head, head, value.
enum GuideChange {
    case put(PartitionID, Key, Record)
    case purge(PartitionID, Key)
    case metadata(MetadataScope, String, GuideValue?)
    case wipe(PartitionID)
    /// Everything before is gone.
    case clear
    /// The last one of each file: a file that was cut off lacks it.
    case end

    init(_ operation: StorageOperation) {
        self =
            switch operation {
            case .put(let partition, let key, let record): .put(partition, key, record)
            case .purge(let partition, let key): .purge(partition, key)
            case .metadata(let scope, let name, let bytes):
                .metadata(scope, name, bytes.map { GuideValue(bytes: $0, checksum: CRC32C.checksum($0)) })
            case .wipe(let partition): .wipe(partition)
            }
    }

    /// The head: kind, partition (0xFFFFFFFF for the node), length of the name, name, a record's header or the checksum of metadata.
    var bytes: [UInt8] {
        var head: [UInt8] = []
        var value: [UInt8] = []
        switch self {
        case .put(let partition, let key, let record):
            head = GuideChange.head(0, UInt32(partition.rawValue), key.bytes) + RecordHeader(record).bytes
            value = record.value ?? []
        case .purge(let partition, let key): head = GuideChange.head(1, UInt32(partition.rawValue), key.bytes)
        case .metadata(let scope, let name, let content):
            head = GuideChange.head(content == nil ? 2 : 3, scope.number, Array(name.utf8))
            head += GuideChange.word(content?.checksum ?? 0)
            value = content?.bytes ?? []
        case .wipe(let partition): head = GuideChange.head(4, UInt32(partition.rawValue), [])
        case .clear: head = GuideChange.head(5, 0, [])
        case .end: head = GuideChange.head(6, 0, [])
        }
        return GuideChange.word(UInt32(head.count)) + GuideChange.word(UInt32(value.count))
            + GuideChange.word(CRC32C.checksum(head)) + head + value
    }

    private static func head(_ kind: UInt8, _ partition: UInt32, _ name: [UInt8]) -> [UInt8] {
        [kind] + word(partition) + word(UInt32(name.count)) + name
    }

    private static func word(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) }
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    static func decode(_ bytes: [UInt8]) throws(StorageError) -> [GuideChange] {
        var rest = bytes[...]
        var changes: [GuideChange] = []
        while !rest.isEmpty {
            guard rest.count >= 12 else { throw damaged }
            let (length, valueLength) = (word(rest), word(rest.dropFirst(4)))
            let checksum = word(rest.dropFirst(8))
            rest = rest.dropFirst(12)
            guard rest.count >= length + valueLength, length >= 9 else { throw damaged }
            let head = Array(rest.prefix(length))
            guard Int(CRC32C.checksum(head)) == checksum else { throw damaged }
            changes.append(try GuideChange(head, value: Array(rest.dropFirst(length).prefix(valueLength))))
            rest = rest.dropFirst(length + valueLength)
        }
        guard case .end? = changes.last else { throw damaged }
        return changes
    }

    private init(_ head: [UInt8], value: [UInt8]) throws(StorageError) {
        let (number, nameLength) = (GuideChange.word(head[1...]), GuideChange.word(head[5...]))
        guard head.count >= 9 + nameLength else { throw GuideChange.damaged }
        let name = Array(head[9..<9 + nameLength])
        let content = Array(head[(9 + nameLength)...])
        let partition = PartitionID(UInt16(truncatingIfNeeded: number))
        let scope: MetadataScope = number == 0xFFFF_FFFF ? .node : .partition(partition)
        switch head[0] {
        case 0:
            guard let header = content.withUnsafeBytes({ RecordHeader($0) }) else { throw GuideChange.damaged }
            self = .put(partition, Key(unchecked: name), header.record(value: value))
        case 1: self = .purge(partition, Key(unchecked: name))
        case 2: self = .metadata(scope, String(decoding: name, as: UTF8.self), nil)
        case 3:
            let checksum = UInt32(truncatingIfNeeded: GuideChange.word(content[...]))
            self = .metadata(scope, String(decoding: name, as: UTF8.self), GuideValue(bytes: value, checksum: checksum))
        case 4: self = .wipe(partition)
        case 5: self = .clear
        case 6: self = .end
        default: throw GuideChange.damaged
        }
    }

    private static let damaged = StorageError(
        .damaged, "a file fails verification; move the folder away, the node gets its data from the others")
}

extension MetadataScope {
    fileprivate var number: UInt32 {
        if case .partition(let partition) = self { UInt32(partition.rawValue) } else { 0xFFFF_FFFF }
    }
}

/// The files of the engine in its folder: `batch-1`, `batch-2` and so on.
struct GuideFolder: Sendable {
    let path: String

    private func name(_ number: Int) -> String { "\(path)/batch-\(number)" }

    /// With `readdir`: Foundation takes a listing that fails for one that is over, and an engine must not lose files by that.
    func numbers() throws(StorageError) -> [Int] {
        guard let stream = opendir(path) else { throw failure("the folder can't be read", path) }
        defer { closedir(stream) }
        var numbers: [Int] = []
        while true {
            // It stays 0 at the end of the folder.
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw failure("the folder can't be read", path) }
                return numbers.sorted()
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix("batch-"), let number = Int(name.dropFirst(6)) { numbers.append(number) }
            // What a crash left half written never counted.
            if name == "new", unlink("\(path)/new") != 0 { throw failure("a file can't be removed", "\(path)/new") }
        }
    }

    func read(_ number: Int) throws(StorageError) -> [UInt8] {
        do {
            return Array(try Data(contentsOf: URL(fileURLWithPath: name(number))))
        } catch {
            throw StorageError(.io, "a file can't be read", cause: "\(error)", path: name(number))
        }
    }

    func write(_ number: Int, _ bytes: [UInt8]) throws(StorageError) {
        let new = "\(path)/new"
        let file = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("a file can't be made", new) }
        var isWritten = true
        var rest = bytes[...]
        while !rest.isEmpty, isWritten {
            let count = rest.withUnsafeBytes { Foundation.write(file, $0.baseAddress, $0.count) }
            isWritten = count > 0
            rest = rest.dropFirst(max(0, count))
        }
        // The file has no name that counts yet, so nothing has changed. After a failed sync a disk is not to be trusted, though.
        var error: StorageError? = isWritten ? nil : failure("a file can't be written", new)
        if isWritten, fsync(file) != 0 { error = GuideFolder.unsynced(new) }
        Foundation.close(file)
        if let error {
            unlink(new)
            throw error
        }
        guard rename(new, name(number)) == 0 else { throw failure("a file can't be renamed", new) }
        try sync()
    }

    func remove(_ numbers: [Int]) throws(StorageError) {
        for number in numbers where unlink(name(number)) != 0 { throw failure("a file can't be removed", name(number)) }
        try sync()
    }

    func sync() throws(StorageError) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if folder >= 0 { Foundation.close(folder) } }
        guard folder >= 0, fsync(folder) == 0 else { throw GuideFolder.unsynced(path) }
    }

    private static func unsynced(_ path: String) -> StorageError {
        StorageError(.poisoned, "the disk can't be synced", cause: String(cString: strerror(errno)), path: path)
    }

    func bytes(of numbers: [Int]) throws(StorageError) -> UInt64 {
        var sum: UInt64 = 0
        for number in numbers {
            var status = stat()
            guard stat(name(number), &status) == 0 else { throw failure("a file is gone", name(number)) }
            sum += UInt64(status.st_size)
        }
        return sum
    }

    func bytesFree() throws(StorageError) -> UInt64 {
        var disk = statvfs()
        guard statvfs(path, &disk) == 0 else { throw failure("the disk can't be asked for its free space", path) }
        return UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
    }

    private func failure(_ doing: String, _ path: String) -> StorageError {
        let cause = String(cString: strerror(errno))
        switch errno {
        case ENOSPC, EDQUOT: return StorageError(.full, "\(doing): free some space", cause: cause, path: path)
        case EROFS, EACCES: return StorageError(.readOnly, "\(doing): check its mode", cause: cause, path: path)
        default: return StorageError(.io, doing, cause: cause, path: path)
        }
    }
}
