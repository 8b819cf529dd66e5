internal import KVProtocols

/// What the backend's metadata says about its own completeness; written as the last operation of every flush.
///
/// 33 bytes, little-endian: u8 format (1), u64 position up to which the backend has every entry of the journal,
/// u64 folder id, u64 digest seed, u32 partitions, u32 reserved.
struct StorageCheckpoint: Hashable, Sendable {
    /// In the node's metadata; names with this room's prefix are not for others.
    static let name = "storage_checkpoint"
    static let reservedPrefix = "storage_"
    /// In a partition's metadata.
    static let stateName = "state"
    static let digestName = "digest"
    private static let format: UInt8 = 1

    var position: UInt64
    var folder: UInt64
    var seed: UInt64
    var partitions: Int

    var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.integer(StorageCheckpoint.format)
        for word in [position, folder, seed] { writer.integer(word) }
        writer.integer(UInt32(partitions))
        writer.integer(UInt32(0))
        return writer.bytes
    }

    init(position: UInt64, folder: UInt64, seed: UInt64, partitions: Int) {
        self.position = position
        self.folder = folder
        self.seed = seed
        self.partitions = partitions
    }

    init?(_ bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard reader.integer(UInt8.self) == StorageCheckpoint.format, let position = reader.integer(UInt64.self),
            let folder = reader.integer(UInt64.self), let seed = reader.integer(UInt64.self),
            let partitions = reader.integer(UInt32.self), reader.integer(UInt32.self) != nil, reader.isAtEnd
        else { return nil }
        self.init(position: position, folder: folder, seed: seed, partitions: Int(partitions))
    }
}

/// A partition's digest as the backend's metadata keeps it: u8 format (1), u8 whether it matches the content, then the sums.
///
/// It doesn't match while a partition's records are spread over several batches of one flush; found like that at open,
/// the digest is computed anew.
enum DigestCodec {
    private static let format: UInt8 = 1

    static func encode(_ digest: PartitionDigest?) -> [UInt8] {
        var writer = ByteWriter()
        writer.integer(format)
        writer.integer(UInt8(digest == nil ? 0 : 1))
        for sum in (digest ?? PartitionDigest()).buckets { writer.integer(sum) }
        return writer.bytes
    }

    /// `nil`: not readable. `.some(nil)`: says itself that it doesn't match.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> PartitionDigest?? {
        var reader = ByteReader(bytes)
        guard reader.integer(UInt8.self) == format, let matches = reader.integer(UInt8.self) else { return nil }
        var sums: [UInt64] = []
        for _ in 0..<PartitionDigest.bucketCount {
            guard let sum = reader.integer(UInt64.self) else { return nil }
            sums.append(sum)
        }
        guard reader.isAtEnd, let digest = PartitionDigest(buckets: sums) else { return nil }
        return matches == 1 ? .some(digest) : .some(nil)
    }
}
