public import KVProtocols

/// The bytes of a snapshot: the same whatever engine or cluster the records come from, written and read as a stream.
///
///     snapshot  "KVSNAP1\n", frames
///     frame     u8 kind, u32 length, payload, u32 CRC32C over the frame's number (u64), kind, length and payload
///     head      kind 1, the first frame: JSON of `SnapshotHead`
///     records   kind 2: (u16 length of key, key, record header (38), value)*; a record's own checksum goes with it
///     end       kind 3, the last frame: JSON of `SnapshotEnd`; nothing follows
///
/// Integers are little-endian. Frames can be neither left out nor exchanged, as their numbers are in the checksums, and a
/// snapshot without its end is not whole.
enum SnapshotFormat {
    static let magic = Array("KVSNAP1\n".utf8)
    static let version = 1
    /// A frame of records ends here, unless one record is larger.
    static let frameBytes = 256 << 10
    /// No frame of a whole snapshot is longer: the longest value and what belongs to it.
    static let maximumFrameLength = (64 << 20) + 4096

    enum Kind {
        static let head: UInt8 = 1
        static let records: UInt8 = 2
        static let end: UInt8 = 3
    }

    static func checksum(_ number: UInt64, _ kind: UInt8, _ payload: [UInt8]) -> UInt32 {
        var crc = CRC32C()
        crc.update(number)
        crc.update(UInt64(kind) << 32 | UInt64(payload.count))
        crc.update(payload)
        return crc.value
    }
}

/// What a snapshot says of itself at its beginning.
public struct SnapshotHead: Hashable, Sendable, Codable {
    public enum Source: String, Hashable, Sendable, Codable {
        /// Every key's value, each as it was at some moment while the snapshot was taken, linearizable per key.
        case cluster
        /// What one running node held.
        case node
        /// What a stopped node's folder holds, tombstones included.
        case folder
    }

    public var format = SnapshotFormat.version
    public var source: Source
    /// Of the cluster or of the node; for a person.
    public var name: String
    /// Milliseconds since 1970.
    public var createdAt: UInt64
    /// Only keys that start so; empty for all.
    public var prefix: String

    public init(source: Source, name: String, createdAt: UInt64, prefix: String = "") {
        self.source = source
        self.name = name
        self.createdAt = createdAt
        self.prefix = prefix
    }

    private enum CodingKeys: String, CodingKey {
        case format, source, name, prefix
        case createdAt = "created_at"
    }
}

/// What a snapshot says of itself at its end: everything that came before is counted here.
public struct SnapshotEnd: Hashable, Sendable, Codable {
    /// Tombstones included.
    public var records: UInt64 = 0
    public var tombstones: UInt64 = 0
    /// Of keys and values.
    public var bytes: UInt64 = 0
    /// Of keys and values alone, in any order: two snapshots with the same content have the same, whatever their versions.
    public var content: UInt64 = 0

    public init() {}

    mutating func count(_ key: Key, _ record: Record) {
        records += 1
        bytes += UInt64(key.bytes.count + (record.value?.count ?? 0))
        guard let value = record.value else { return tombstones += 1 }
        content &+= SnapshotEnd.hash(key, value)
    }

    /// FNV-1a, 64 bits, over the key's length, the key and the value, mixed once more because sums of it are taken
    /// (the finalizer of MurmurHash3).
    private static func hash(_ key: Key, _ value: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func absorb(_ bytes: [UInt8]) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        absorb([UInt8(key.bytes.count & 0xFF), UInt8(key.bytes.count >> 8)])
        absorb(key.bytes)
        absorb(value)
        hash ^= hash >> 33
        hash &*= 0xFF51_AFD7_ED55_8CCD
        hash ^= hash >> 33
        hash &*= 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 33
    }
}

/// A record with its key.
public struct SnapshotRecord: Hashable, Sendable {
    public var key: Key
    public var record: Record

    public init(key: Key, record: Record) {
        self.key = key
        self.record = record
    }
}

/// Why a snapshot can't be used.
public struct SnapshotError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// Not a snapshot, or of a newer format.
        case foreign
        /// It ends before its end.
        case cutOff
        /// A checksum doesn't match, or what it counts.
        case damaged
    }

    public var code: Code
    public var description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
