#if os(Linux)
import CFileSystem
#endif
import KVBackendBench
import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Opens a file for each record, as whoever keeps one file per key must.
final class RawFilesReader: BenchReader {
    private let folder: String
    private let descriptor: Int32
    private let checks: Bool
    private let names: [PartitionID: [Key]]
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)

    init(_ folder: String, _ descriptor: Int32, checks: Bool, names: [PartitionID: [Key]]) {
        self.folder = folder
        self.descriptor = descriptor
        self.checks = checks
        self.names = names
    }

    func read(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Int? {
        if checks { return try record(partition, key)?.value?.count }
        return try open(key) { file, header throws(StorageError) in
            if buffer.count < header.valueLength { buffer = [UInt8](repeating: 0, count: header.valueLength) }
            return try fill(&buffer, header.valueLength, from: file)
        } ?? nil
    }

    func record(_ partition: PartitionID, _ key: Key) throws(StorageError) -> Record? {
        try open(key) { file, header throws(StorageError) in
            var count = 0
            let value = [UInt8](unsafeUninitializedCapacity: header.valueLength) { buffer, filled in
                count = readBytes(file, buffer.baseAddress, header.valueLength)
                filled = max(0, count)
            }
            try RawFiles.check(count, "read", folder)
            let record = header.record(value: value)
            guard count == header.valueLength, record.isIntact(for: key) else {
                throw StorageError(.damaged, "a baseline read a damaged record", path: folder)
            }
            return record
        }
    }

    private func fill(_ buffer: inout [UInt8], _ count: Int, from file: Int32) throws(StorageError) -> Int {
        try RawFiles.check(buffer.withUnsafeMutableBytes { readBytes(file, $0.baseAddress, count) }, "read", folder)
    }

    private func open<Result>(
        _ key: Key, _ body: (Int32, RecordHeader) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        #if os(Linux)
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | Int32(KV_O_NOATIME)
        #else
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        #endif
        let file = RawFiles.withName(key) { openat(descriptor, $0, flags) }
        if file < 0, errno == ENOENT { return nil }
        try RawFiles.check(file, "openat", folder)
        defer { close(file) }
        let header = withUnsafeTemporaryAllocation(byteCount: RecordHeader.length, alignment: 8) { header in
            #if os(Linux)
            let count = fgetxattr(file, RawFiles.attribute, header.baseAddress, header.count)
            #else
            let count = fgetxattr(file, RawFiles.attribute, header.baseAddress, header.count, 0, 0)
            #endif
            return count == header.count ? RecordHeader(UnsafeRawBufferPointer(header)) : nil
        }
        guard let header else { throw Baselines.failure("fgetxattr", "no header", folder) }
        return try body(file, header)
    }

    func scan(_ request: ScanRequest) throws(StorageError) -> Int {
        guard let keys = names[request.partition] else { return 0 }
        var low = 0
        if let after = request.after {
            var high = keys.count
            while low < high {
                let middle = (low + high) / 2
                if keys[middle] <= after { low = middle + 1 } else { high = middle }
            }
        }
        var entries: [ScanPage.Entry] = []
        var count = 0
        for key in keys[low...].prefix(request.limit) {
            if checks {
                entries.append(ScanPage.Entry(key: key, record: try record(request.partition, key)))
            } else if try read(request.partition, key) != nil {
                count += 1
            }
        }
        return checks ? entries.count : count
    }
}

private func readBytes(_ file: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(file, buffer, count)
}
