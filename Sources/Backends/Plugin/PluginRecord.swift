import CPlugin
import KVProtocols

extension kv_span {
    /// The bytes, if there can be so many: a length that no value has is a sign of damage, and its pointer is not followed.
    func bytes(atMost longest: Int) -> UnsafeRawBufferPointer? {
        guard 0...longest ~= count, bytes != nil || count == 0 else { return nil }
        return UnsafeRawBufferPointer(start: bytes, count: count)
    }

    /// The pointers in it are valid as long as those of `buffer`.
    init(_ buffer: UnsafeRawBufferPointer) {
        self.init(bytes: buffer.baseAddress, count: buffer.count)
    }
}

/// What an engine stores: records with their header in front, metadata with a checksum, both verified at each read.
enum PluginRecord {
    static let checksumLength = 4

    /// The record's header and value.
    struct Stored {
        var header: RecordHeader
        private var value: UnsafeRawBufferPointer

        /// `nil` when the bytes are no record. `isWhole` is false when only the header was asked for.
        init?(_ bytes: UnsafeRawBufferPointer, isWhole: Bool) {
            guard let header = RecordHeader(bytes) else { return nil }
            guard !isWhole || bytes.count - RecordHeader.length == header.valueLength else { return nil }
            self.header = header
            value = UnsafeRawBufferPointer(rebasing: bytes[RecordHeader.length...])
        }

        /// The verified record; `nil` when it fails. One copy of the value.
        func record(of key: Key) -> Record? {
            header.verifiedRecord(of: key, value: value)
        }
    }

    /// Metadata in the form in which it is stored: CRC32C u32 little-endian over place and value, value.
    static func metadata(_ value: [UInt8], _ scope: MetadataScope, _ name: String) -> [UInt8] {
        let checksum = checksum(scope, name, value)
        return (0..<checksumLength).map { UInt8(truncatingIfNeeded: checksum >> UInt32($0 * 8)) } + value
    }

    /// The verified value; `nil` when it fails.
    static func metadata(_ stored: UnsafeRawBufferPointer, _ scope: MetadataScope, _ name: String) -> [UInt8]? {
        guard stored.count >= checksumLength else { return nil }
        let value = Array(stored.dropFirst(checksumLength))
        let checksum = UInt32(littleEndian: stored.loadUnaligned(as: UInt32.self))
        return checksum == self.checksum(scope, name, value) ? value : nil
    }

    private static func checksum(_ scope: MetadataScope, _ name: String, _ value: [UInt8]) -> UInt32 {
        var crc = CRC32C()
        crc.update(UInt64(scope.partitionNumber) << 32 | UInt64(name.utf8.count))
        crc.update(Array(name.utf8))
        crc.update(value)
        return crc.value
    }
}

extension MetadataScope {
    /// The partition in the engine's space of metadata.
    var partitionNumber: UInt32 {
        switch self {
        case .node: KV_NODE
        case .partition(let partition): UInt32(partition.rawValue)
        }
    }
}
