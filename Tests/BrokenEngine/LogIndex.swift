import KVProtocols

/// Where in the log each record and each named value lies. An operation is, in the log: its kind, partition, length of key
/// or name, record header or length and checksum of the value, key or name, a checksum over all that, the value.
struct LogIndex: Sendable {
    struct Place: Sendable {
        var header: RecordHeader
        var offset: Int
    }

    struct Named: Sendable {
        var offset: Int
        var length: Int
        var checksum: UInt32
    }

    var records: [PartitionID: [Key: Place]] = [:]
    var metadata: [MetadataScope: [String: Named]] = [:]

    private static let fixed = 5
    private static let node: UInt16 = .max

    init() {}

    /// Reads the log up to its committed end.
    init(_ log: LogFile, _ fault: BrokenEngine.Fault) throws(StorageError) {
        let bytes = try log.read(0, fault == .losesOldRecords ? min(log.end, log.length) : log.end)
        var position = 0
        while position < bytes.count {
            guard let next = step(bytes, position, checked: fault != .servesWithoutChecksum) else {
                if fault == .losesOldRecords { break }
                log.close()
                throw StorageError(.damaged, "the log is damaged at \(position)")
            }
            position = next
        }
        if bytes.count < log.end, let oldest = records.keys.min() { records[oldest] = nil }
    }

    private mutating func step(_ bytes: [UInt8], _ start: Int, checked: Bool) -> Int? {
        func number(_ offset: Int, _ count: Int) -> Int {
            (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) }
        }
        guard start + LogIndex.fixed <= bytes.count else { return nil }
        let kind = bytes[start]
        let partition = PartitionID(UInt16(number(start + 1, 2)))
        let nameLength = number(start + 3, 2)
        let described = kind == 0 ? RecordHeader.length : kind == 2 ? 8 : 0
        let name = start + LogIndex.fixed + described
        let end = name + nameLength + 4
        guard end <= bytes.count else { return nil }
        guard !checked || number(end - 4, 4) == Int(CRC32C.checksum(Array(bytes[start..<end - 4]))) else { return nil }
        let text = Array(bytes[name..<name + nameLength])
        let key = Key(unchecked: text)
        let scope: MetadataScope = partition.rawValue == LogIndex.node ? .node : .partition(partition)
        switch kind {
        case 0:
            let header = bytes[(start + LogIndex.fixed)...].withUnsafeBytes { RecordHeader($0) }
            guard let header else { return nil }
            records[partition, default: [:]][key] = Place(header: header, offset: end)
            return end + header.valueLength
        case 1: records[partition]?[key] = nil
        case 2:
            let length = number(start + LogIndex.fixed, 4)
            let checksum = UInt32(number(start + LogIndex.fixed + 4, 4))
            metadata[scope, default: [:]][String(decoding: text, as: UTF8.self)] = Named(
                offset: end, length: length, checksum: checksum)
            return end + length
        case 3: metadata[scope]?[String(decoding: text, as: UTF8.self)] = nil
        case 4:
            records[partition] = nil
            metadata[.partition(partition)] = nil
        default: return nil
        }
        return end
    }

    /// Notes a batch that will be written at `start`.
    /// - Returns: its bytes.
    mutating func append(_ batch: [StorageOperation], at start: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for operation in batch {
            let (kind, partition, name, described, value) = parts(operation)
            var next: [UInt8] = [kind]
            next += [UInt8(truncatingIfNeeded: partition), UInt8(partition >> 8)]
            next += [UInt8(truncatingIfNeeded: name.count), UInt8(name.count >> 8)]
            next += described + name
            next += LogIndex.bytes(CRC32C.checksum(next)) + value
            // Offsets are from the start of the log.
            var shifted = LogIndex()
            _ = shifted.step(next, 0, checked: false)
            follow(operation, shifted, by: start + bytes.count)
            bytes += next
        }
        return bytes
    }

    private mutating func follow(_ operation: StorageOperation, _ found: LogIndex, by offset: Int) {
        switch operation {
        case .put(let partition, let key, _):
            guard var place = found.records[partition]?[key] else { return }
            place.offset += offset
            records[partition, default: [:]][key] = place
        case .purge(let partition, let key): records[partition]?[key] = nil
        case .metadata(let scope, let name, _):
            var named = found.metadata[scope]?[name]
            named?.offset += offset
            metadata[scope, default: [:]][name] = named
        case .wipe(let partition):
            records[partition] = nil
            metadata[.partition(partition)] = nil
        }
    }

    private func parts(
        _ operation: StorageOperation
    ) -> (kind: UInt8, partition: UInt16, name: [UInt8], described: [UInt8], value: [UInt8]) {
        switch operation {
        case .put(let partition, let key, let record):
            return (0, partition.rawValue, key.bytes, RecordHeader(record).bytes, record.value ?? [])
        case .purge(let partition, let key): return (1, partition.rawValue, key.bytes, [], [])
        case .metadata(let scope, let name, let value):
            var partition = LogIndex.node
            if case .partition(let number) = scope { partition = number.rawValue }
            guard let value else { return (3, partition, Array(name.utf8), [], []) }
            let described = LogIndex.bytes(UInt32(value.count)) + LogIndex.bytes(CRC32C.checksum(value))
            return (2, partition, Array(name.utf8), described, value)
        case .wipe(let partition): return (4, partition.rawValue, [], [], [])
        }
    }

    private static func bytes(_ word: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
}
