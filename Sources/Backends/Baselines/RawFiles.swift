#if os(Linux)
import CFileSystem
#endif
import KVBackendBench
import KVProtocols
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The system calls that a durable store of one file per key can't do without, in the file engine's layout.
final class RawFiles: BenchTarget {
    /// From so many files on one sync of the file system takes the place of one each, as in the engine.
    private static let wholeSyncCount: Int = {
        #if os(Linux)
        32
        #else
        .max
        #endif
    }()
    static let attribute = "user.kv.record"

    private let folder: String
    private let checks: Bool
    private let values: Int32
    private let temporary: Int32
    /// Sorted keys per partition, made by `prepareScans`.
    private let names = Mutex<[PartitionID: [Key]]>([:])

    init(_ folder: String, checks: Bool) throws(StorageError) {
        self.folder = folder
        self.checks = checks
        values = openFolder(folder)
        try RawFiles.check(values, "open", folder)
        let hidden = ".backend-temporary"
        if mkdirat(values, hidden, 0o700) != 0, errno != EEXIST { try RawFiles.check(-1, "mkdirat", folder) }
        temporary = openat(values, hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        try RawFiles.check(temporary, "openat", folder)
    }

    @discardableResult
    static func check<Number: SignedInteger>(
        _ result: Number, _ call: String, _ path: String
    ) throws(StorageError) -> Number {
        guard result >= 0 else { throw Baselines.failure(call, String(cString: strerror(errno)), path) }
        return result
    }

    func apply(_ batch: [StorageOperation]) throws(StorageError) {
        let stored = batch.count { if case .put = $0 { true } else { false } }
        let syncsAll = stored >= RawFiles.wholeSyncCount
        // Open until they are synced, one by one: fewer than `wholeSyncCount`.
        var files: [Int32] = []
        defer { for file in files { closeFile(file) } }
        var staged = 0
        var removes = false
        for operation in batch {
            switch operation {
            case .put(_, _, let record):
                let file = try stage(record, number: staged)
                staged += 1
                if syncsAll { closeFile(file) } else { files.append(file) }
            case .purge: removes = true
            default: throw Baselines.unsupported(folder)
            }
        }
        // A put and a removal of one key in a batch would need order; the comparison's batches have one kind.
        guard stored == 0 || !removes else { throw Baselines.unsupported(folder) }
        try syncsAll ? syncFileSystem() : sync(files)
        var number = 0
        for operation in batch {
            switch operation {
            case .put(_, let key, _):
                let result = RawFiles.withName(key) { renameat(temporary, RawFiles.name(number), values, $0) }
                try RawFiles.check(result, "renameat", folder)
                number += 1
            case .purge(_, let key):
                let result = RawFiles.withName(key) { unlinkat(values, $0, 0) }
                if result != 0, errno != ENOENT { try RawFiles.check(result, "unlinkat", folder) }
            default: throw Baselines.unsupported(folder)
            }
        }
        try RawFiles.check(fsync(values), "fsync", folder)
    }

    /// Writes one temporary file and leaves it open.
    private func stage(_ record: Record, number: Int) throws(StorageError) -> Int32 {
        let file = openat(
            temporary, RawFiles.name(number), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        try RawFiles.check(file, "openat", folder)
        do throws(StorageError) {
            if let value = record.value, !value.isEmpty {
                let count = try RawFiles.check(write(file, value, value.count), "write", folder)
                guard count == value.count else { throw Baselines.failure("write", "the disk is full", folder) }
            }
            let code = withUnsafeTemporaryAllocation(byteCount: RecordHeader.length, alignment: 8) { header in
                RecordHeader(record).write(to: header)
                #if os(Linux)
                return fsetxattr(file, RawFiles.attribute, header.baseAddress, header.count, 0)
                #else
                return fsetxattr(file, RawFiles.attribute, header.baseAddress, header.count, 0, 0)
                #endif
            }
            try RawFiles.check(code, "fsetxattr", folder)
        } catch {
            closeFile(file)
            throw error
        }
        return file
    }

    private func syncFileSystem() throws(StorageError) {
        #if os(Linux)
        try RawFiles.check(syncfs(values), "syncfs", folder)
        #endif
    }

    private func sync(_ files: [Int32]) throws(StorageError) {
        #if os(Linux)
        for file in files where files.count > 1 {
            _ = sync_file_range(file, 0, 0, UInt32(KV_SYNC_FILE_RANGE_WRITE))
        }
        #endif
        for file in files { try RawFiles.check(fsync(file), "fsync", folder) }
    }

    private static func name(_ number: Int) -> String { String(number, radix: 16) }

    /// Keys of the comparison need no escapes but for the slash.
    static func withName<Result>(_ key: Key, _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: key.bytes.count * 3 + 1) { name in
            var count = 0
            for byte in key.bytes {
                if byte == UInt8(ascii: "/") {
                    for escaped in "%2F".utf8 {
                        name[count] = CChar(bitPattern: escaped)
                        count += 1
                    }
                } else {
                    name[count] = CChar(bitPattern: byte)
                    count += 1
                }
            }
            name[count] = 0
            // A buffer of at least one byte has an address.
            guard let start = name.baseAddress else { return body("") }
            return body(UnsafePointer(start))
        }
    }

    func reader() throws(StorageError) -> any BenchReader {
        RawFilesReader(folder, values, checks: checks, names: names.withLock { $0 })
    }

    /// Lists and sorts the names: a folder has no order of its own.
    func prepareScans() throws(StorageError) {
        guard let stream = opendir(folder) else { return _ = try RawFiles.check(-1, "opendir", folder) }
        defer { closedir(stream) }
        var found: [PartitionID: [Key]] = [:]
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            guard name.first != UInt8(ascii: ".") else { continue }
            let text = String(decoding: name, as: UTF8.self).split(separator: "%2F", omittingEmptySubsequences: false)
            let key = Key(unchecked: Array(text.joined(separator: "/").utf8))
            found[key.partition(of: BenchKeys.partitions), default: []].append(key)
        }
        for partition in found.keys { found[partition]?.sort() }
        names.withLock { $0 = found }
    }

    func close() throws(StorageError) {
        closeFile(temporary)
        closeFile(values)
    }
}

private func openFolder(_ path: String) -> Int32 { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
private func closeFile(_ file: Int32) { _ = close(file) }
