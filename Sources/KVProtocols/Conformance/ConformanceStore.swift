public import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An open store in a folder of its own, with short forms of what cases do most. For one thread, the one that runs the
/// case; other threads use `backend`.
public final class ConformanceStore {
    /// The engine under test. `reopen` replaces it.
    public private(set) var backend: any StorageBackend
    /// The folder that the engine was given.
    public let folder: String
    /// Where random choices of a case start.
    public let seed: UInt64

    /// How much a case has tried so far.
    public var figures = ConformanceFigures()

    let suite: ConformanceSuite
    private var sequence: UInt64 = 0

    init(_ suite: ConformanceSuite) throws {
        self.suite = suite
        seed = suite.seed
        var template = Array("\(suite.temporaryFolder)/kv-conformance-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ConformanceFailure("no folder can be created in \(suite.temporaryFolder): errno \(errno)")
        }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        backend = try suite.factory.open(ConformanceStore.context(suite, folder))
    }

    private static func context(_ suite: ConformanceSuite, _ folder: String) -> BackendContext {
        BackendContext(path: folder, partitions: ConformanceSuite.partitions, options: suite.options)
    }

    /// Closes the engine and opens it again.
    public func reopen() throws {
        try backend.close()
        try open()
    }

    /// Opens the engine again after it was closed or destroyed.
    public func open() throws {
        ConformanceWorker.awaitStarts()
        backend = try suite.factory.open(ConformanceStore.context(suite, folder))
    }

    /// Closes the engine, damages the record of a live key, opens the engine again.
    public func damage(_ key: Key) throws {
        guard let value = try read(key)?.value else { throw ConformanceFailure("only a live key can be damaged") }
        try backend.close()
        try suite.damage(folder, key, value)
        figures.damages += 1
        try open()
    }

    func discard() {
        do { try backend.close() } catch { /* The case has said what matters; the folder goes either way. */  }
        FileTree.remove(folder)
    }

    // MARK: Short forms

    /// A record of `key` with a version higher than those before.
    public func record(_ key: Key, _ value: [UInt8]?, expiresAt: UInt64 = 0) -> Record {
        sequence += 1
        let version = Version(ballot: Ballot(counter: 7, node: NodeID(3)), sequence: sequence)
        return Record(key: key, version: version, value: value, expiresAt: expiresAt)
    }

    /// Stores a value, or a tombstone for `nil`, in the key's own partition.
    @discardableResult
    public func put(_ key: Key, _ value: [UInt8]?, expiresAt: UInt64 = 0) throws -> Record {
        let record = record(key, value, expiresAt: expiresAt)
        try backend.apply([.put(key.partition, key, record)])
        return record
    }

    /// Reads from the key's own partition.
    public func read(_ key: Key) throws -> Record? { try backend.read(key.partition, key) }

    /// All entries of a request, page by page.
    public func scan(_ request: ScanRequest) throws -> [ScanPage.Entry] {
        var request = request
        var entries: [ScanPage.Entry] = []
        while true {
            let page = try backend.scan(request)
            try expect(
                page.entries.count <= request.limit, "a page of limit \(request.limit) has \(page.entries.count)")
            entries += page.entries
            if page.isLast { return entries }
            // A store that starts again from the front would never come to an end.
            if let after = request.after, let first = page.entries.first {
                try expect(after < first.key, "a page after \(after) starts with \(first.key)")
            }
            guard let last = page.entries.last else {
                throw ConformanceFailure("a page without entries says that more follow, so nobody can go on")
            }
            request.after = last.key
        }
    }

    /// The keys of a request, page by page.
    public func keys(
        _ partition: PartitionID, after: Key? = nil, prefix: String = "", limit: Int = 1000, values: Bool = true
    ) throws -> [Key] {
        let request = ScanRequest(
            partition: partition, after: after, prefix: Array(prefix.utf8), limit: limit, values: values)
        return try scan(request).map(\.key)
    }

    /// Fails the case unless `condition` holds.
    public func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw ConformanceFailure(message()) }
    }

    /// Fails the case unless both are equal, and shows both.
    public func expectEqual<Value: Equatable>(_ found: Value, _ wanted: Value, _ what: String) throws {
        guard found != wanted else { return }
        throw ConformanceFailure("\(what): expected \(brief(wanted)), found \(brief(found))")
    }

    /// Fails the case unless `statistics` counts about `wanted` records: estimates may be off by the half and by 100.
    public func expectCount(_ wanted: UInt64, _ what: String) throws {
        let found = try backend.statistics().keys
        let tolerance = wanted / 2 + 100
        try expect(
            found + tolerance >= wanted && found <= wanted + tolerance,
            "\(what): statistics count \(found) records, there are \(wanted)")
    }

    /// Fails the case unless `body` throws a storage error with this code and a message.
    public func expect(_ code: StorageError.Code, _ what: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as StorageError {
            try expect(error.code == code, "\(what): expected the error \(code.rawValue), found \(error)")
            return try expect(!error.message.isEmpty, "\(what): the error \(code.rawValue) has no message")
        }
        throw ConformanceFailure("\(what): expected the error \(code.rawValue), found none")
    }

    private func brief(_ value: some Any) -> String {
        let text = "\(value)"
        return text.count <= 300 ? text : text.prefix(300) + "…"
    }
}

extension Key {
    /// The partition of this key in the suite's stores.
    var partition: PartitionID { partition(of: ConformanceSuite.partitions) }
}

/// Looks at and removes what engines leave behind.
enum FileTree {
    /// The names in a folder, without `.` and `..`, in order; empty when it can't be read.
    static func names(_ folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a folder and everything in it; follows no links.
    static func remove(_ folder: String) {
        for name in names(folder) where unlink("\(folder)/\(name)") != 0 { remove("\(folder)/\(name)") }
        rmdir(folder)
    }

    /// All bytes of a file; none when it can't be read.
    static func content(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var status = stat()
        guard fstat(fileno(file), &status) == 0, status.st_size > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
            count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
    }

    /// The paths of all regular files below a folder, in order.
    static func files(below folder: String) -> [String] {
        var result: [String] = []
        for name in names(folder) {
            let path = "\(folder)/\(name)"
            var status = stat()
            guard lstat(path, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR { result += files(below: path) }
            if status.st_mode & S_IFMT == S_IFREG { result.append(path) }
        }
        return result
    }

    static func createEmptyFile(_ path: String) {
        let file = fopen(path, "w")
        if let file { fclose(file) }
    }
}
