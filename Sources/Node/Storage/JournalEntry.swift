internal import KVProtocols

/// One staged change, as a frame holds it (little-endian, each starts with its kind):
///
///     put    1  u16 partition  u16 key length  key  record header (38)  value
///     purge  2  u16 partition  u16 key length  key
///     state  3  u16 partition  u32 length  state
///     wipe   4  u16 partition
///     node   5  u8 name length  name  u32 length or 0xFFFFFFFF for none  bytes
enum JournalEntry {
    case put(PartitionID, Key, Record)
    case purge(PartitionID, Key)
    case state(PartitionID, PartitionState)
    case wipe(PartitionID)
    case node(String, [UInt8]?)

    fileprivate enum Kind {
        static let put: UInt8 = 1
        static let purge: UInt8 = 2
        static let state: UInt8 = 3
        static let wipe: UInt8 = 4
        static let node: UInt8 = 5
        static let absent = UInt32.max
    }

    /// Reads the next entry of a frame's payload; `nil` when the bytes are not one.
    init?(_ reader: inout ByteReader) {
        guard let kind = reader.integer(UInt8.self) else { return nil }
        if kind == Kind.node {
            guard let entry = JournalEntry.node(&reader) else { return nil }
            self = entry
            return
        }
        guard let partition = reader.integer(UInt16.self).map({ PartitionID($0) }) else { return nil }
        switch kind {
        case Kind.put:
            guard let key = JournalEntry.key(&reader), let bytes = reader.bytes(RecordHeader.length),
                let header = RecordHeader(bytes), let value = reader.bytes(header.valueLength)
            else { return nil }
            self = .put(partition, key, header.record(value: Array(value)))
        case Kind.purge:
            guard let key = JournalEntry.key(&reader) else { return nil }
            self = .purge(partition, key)
        case Kind.state:
            guard let length = reader.integer(UInt32.self), let bytes = reader.bytes(Int(length)),
                let state = PartitionStateCodec.decode(bytes)
            else { return nil }
            self = .state(partition, state)
        case Kind.wipe:
            self = .wipe(partition)
        default:
            return nil
        }
    }

    /// The partition that the entry changes, if any.
    var partition: PartitionID? {
        switch self {
        case .put(let partition, _, _), .purge(let partition, _), .state(let partition, _), .wipe(let partition):
            partition
        case .node: nil
        }
    }

    private static func key(_ reader: inout ByteReader) -> Key? {
        guard let length = reader.integer(UInt16.self), (1...Key.maximumLength).contains(Int(length)),
            let bytes = reader.bytes(Int(length))
        else { return nil }
        return Key(unchecked: Array(bytes))
    }

    private static func node(_ reader: inout ByteReader) -> JournalEntry? {
        guard let nameLength = reader.integer(UInt8.self), let name = reader.bytes(Int(nameLength)),
            let length = reader.integer(UInt32.self)
        else { return nil }
        let text = String(decoding: name, as: UTF8.self)
        if length == Kind.absent { return .node(text, nil) }
        guard let bytes = reader.bytes(Int(length)) else { return nil }
        return .node(text, Array(bytes))
    }
}

/// Fills the room of one entry from front to back.
private struct EntryWriter {
    private let room: UnsafeMutableRawBufferPointer
    private var offset = 0

    init(_ room: UnsafeMutableRawBufferPointer) { self.room = room }

    mutating func integer<Number: FixedWidthInteger>(_ number: Number) {
        room.storeBytes(of: number.littleEndian, toByteOffset: offset, as: Number.self)
        offset += MemoryLayout<Number>.size
    }

    mutating func bytes(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(rebasing: room[offset...]).copyMemory(from: source)
        }
        offset += bytes.count
    }

    mutating func header(_ header: RecordHeader) {
        header.write(to: UnsafeMutableRawBufferPointer(rebasing: room[offset...]))
        offset += RecordHeader.length
    }
}

extension JournalFrame {
    /// Each `append` returns the number of bytes that the entry takes. O(its length).
    func append(put partition: PartitionID, _ key: Key, _ record: Record) -> Int {
        let valueLength = record.value?.count ?? 0
        let length = 5 + key.bytes.count + RecordHeader.length + valueLength
        var writer = EntryWriter(appendEntry(length: length))
        writer.integer(JournalEntry.Kind.put)
        writer.integer(partition.rawValue)
        writer.integer(UInt16(key.bytes.count))
        writer.bytes(key.bytes)
        writer.header(RecordHeader(record))
        if let value = record.value { writer.bytes(value) }
        return length
    }

    func append(purge partition: PartitionID, _ key: Key) -> Int {
        let length = 5 + key.bytes.count
        var writer = EntryWriter(appendEntry(length: length))
        writer.integer(JournalEntry.Kind.purge)
        writer.integer(partition.rawValue)
        writer.integer(UInt16(key.bytes.count))
        writer.bytes(key.bytes)
        return length
    }

    func append(state: PartitionState, of partition: PartitionID) -> Int {
        let bytes = PartitionStateCodec.encode(state)
        var writer = EntryWriter(appendEntry(length: 7 + bytes.count))
        writer.integer(JournalEntry.Kind.state)
        writer.integer(partition.rawValue)
        writer.integer(UInt32(bytes.count))
        writer.bytes(bytes)
        return 7 + bytes.count
    }

    func append(wipe partition: PartitionID) -> Int {
        var writer = EntryWriter(appendEntry(length: 3))
        writer.integer(JournalEntry.Kind.wipe)
        writer.integer(partition.rawValue)
        return 3
    }

    func append(node name: String, _ bytes: [UInt8]?) -> Int {
        let nameBytes = Array(name.utf8)
        let length = 6 + nameBytes.count + (bytes?.count ?? 0)
        var writer = EntryWriter(appendEntry(length: length))
        writer.integer(JournalEntry.Kind.node)
        writer.integer(UInt8(nameBytes.count))
        writer.bytes(nameBytes)
        writer.integer(bytes.map { UInt32($0.count) } ?? JournalEntry.Kind.absent)
        if let bytes { writer.bytes(bytes) }
        return length
    }
}
