/// A summary of which versions a member holds of a partition: per bucket of keys the sum, modulo 2^64, of a keyed hash
/// of (key, version). Order-free, so it is updated with every put and purge; equal digests mean equal content, except
/// with a chance of about 2^-64 per bucket.
///
/// The hash is SipHash-2-4 (Aumasson and Bernstein, 2012), keyed with a number that is made from the cluster's name.
public struct PartitionDigest: Hashable, Sendable, Codable {
    public static let bucketCount = 64

    /// Exactly `bucketCount` sums.
    public private(set) var buckets: [UInt64]

    public init() {
        buckets = [UInt64](repeating: 0, count: PartitionDigest.bucketCount)
    }

    /// `nil` unless there are exactly `bucketCount` sums.
    public init?(buckets: [UInt64]) {
        guard buckets.count == PartitionDigest.bucketCount else { return nil }
        self.buckets = buckets
    }

    /// The bucket of a key: the top six bits of its CRC32C.
    public static func bucket(of key: Key) -> Int {
        Int(CRC32C.checksum(key.bytes) >> 26)
    }

    /// Accounts for `key` changing from version `old` to `new`; `nil` is absent. O(key length).
    public mutating func update(_ key: Key, from old: Version?, to new: Version?, seed: UInt64) {
        let bucket = PartitionDigest.bucket(of: key)
        if let old { buckets[bucket] &-= PartitionDigest.hash(key, old, seed: seed) }
        if let new { buckets[bucket] &+= PartitionDigest.hash(key, new, seed: seed) }
    }

    /// The buckets in which two digests differ, as bits of one word.
    public func differing(from other: PartitionDigest) -> UInt64 {
        var bits: UInt64 = 0
        for bucket in 0..<PartitionDigest.bucketCount where buckets[bucket] != other.buckets[bucket] {
            bits |= 1 << UInt64(bucket)
        }
        return bits
    }

    public static func hash(_ key: Key, _ version: Version, seed: UInt64) -> UInt64 {
        var hash = SipHash(key0: seed, key1: 0x6b76_2d64_6967_6573)
        key.bytes.withUnsafeBytes { bytes in
            var offset = 0
            while bytes.count - offset >= 8 {
                hash.absorb(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
            }
            var last = UInt64(bytes.count) << 56
            var shift: UInt64 = 0
            while offset < bytes.count {
                last |= UInt64(bytes[offset]) << shift
                shift += 8
                offset += 1
            }
            hash.absorb(last)
        }
        hash.absorb(version.ballot.counter)
        hash.absorb(UInt64(version.ballot.node.rawValue))
        hash.absorb(version.sequence)
        return hash.finish()
    }
}

/// SipHash-2-4 over whole words.
private struct SipHash {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    init(key0: UInt64, key1: UInt64) {
        v0 = key0 ^ 0x736f_6d65_7073_6575
        v1 = key1 ^ 0x646f_7261_6e64_6f6d
        v2 = key0 ^ 0x6c79_6765_6e65_7261
        v3 = key1 ^ 0x7465_6462_7974_6573
    }

    mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    mutating func finish() -> UInt64 {
        v2 ^= 0xff
        for _ in 0..<4 { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }

    private mutating func round() {
        v0 = v0 &+ v1
        v1 = SipHash.rotate(v1, 13) ^ v0
        v0 = SipHash.rotate(v0, 32)
        v2 = v2 &+ v3
        v3 = SipHash.rotate(v3, 16) ^ v2
        v0 = v0 &+ v3
        v3 = SipHash.rotate(v3, 21) ^ v0
        v2 = v2 &+ v1
        v1 = SipHash.rotate(v1, 17) ^ v2
        v2 = SipHash.rotate(v2, 32)
    }

    private static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        word << bits | word >> (64 - bits)
    }
}
