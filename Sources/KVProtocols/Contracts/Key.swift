/// The name of a value: 1 to 480 bytes of UTF-8, ordered by its bytes.
///
/// Bytes, not `String`: Swift compares strings by canonical equivalence, the store compares them byte by byte.
/// Copying is O(1) (copy on write); comparing and hashing are O(length).
public struct Key: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The longest key in bytes. LMDB's own limit is 511, from which every backend's prefix is taken.
    public static let maximumLength = 480

    public let bytes: [UInt8]

    /// Checks length, UTF-8 and the absence of NUL.
    /// - Throws: `KeyError` that says which rule the bytes break.
    public init(validating bytes: [UInt8]) throws(KeyError) {
        guard !bytes.isEmpty else { throw .empty }
        guard bytes.count <= Key.maximumLength else { throw .tooLong(bytes.count) }
        guard !bytes.contains(0) else { throw .containsNUL }
        guard isUTF8(bytes) else { throw .notUTF8 }
        self.bytes = bytes
    }

    /// - Throws: `KeyError` that says which rule the text breaks.
    public init(_ text: String) throws(KeyError) {
        try self.init(validating: Array(text.utf8))
    }

    /// Takes bytes that this process wrote itself or that were checked before, without checking them again.
    public init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// All bytes at once: what the compiler would write gives them to the hasher one by one.
    public func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    public static func < (left: Key, right: Key) -> Bool {
        left.bytes.withUnsafeBytes { left in
            right.bytes.withUnsafeBytes { right in precedes(left, right) }
        }
    }

    /// Eight bytes at a step: this is the inner loop of every sort and merge.
    private static func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        let common = min(left.count, right.count)
        var offset = 0
        while common - offset >= 8 {
            let first = UInt64(bigEndian: left.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            let second = UInt64(bigEndian: right.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            if first != second { return first < second }
            offset += 8
        }
        while offset < common {
            if left[offset] != right[offset] { return left[offset] < right[offset] }
            offset += 1
        }
        return left.count < right.count
    }

    public func hasPrefix(_ prefix: [UInt8]) -> Bool {
        bytes.starts(with: prefix)
    }

    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// The rule that a key breaks. `description` tells a caller what to change.
public enum KeyError: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    case tooLong(Int)
    case containsNUL
    case notUTF8

    public var description: String {
        switch self {
        case .empty: "the key is empty; a key has 1 to \(Key.maximumLength) bytes"
        case .tooLong(let count):
            "the key has \(count) bytes; a key has 1 to \(Key.maximumLength) bytes"
        case .containsNUL: "the key contains a NUL byte, which no backend may store"
        case .notUTF8: "the key is not valid UTF-8"
        }
    }
}

/// Whether the bytes are valid UTF-8. ASCII, which most are, is decided without being decoded.
package func isUTF8(_ bytes: [UInt8]) -> Bool {
    var high: UInt8 = 0
    for byte in bytes { high |= byte }
    return high < 0x80 || String(validating: bytes, as: UTF8.self) != nil
}
