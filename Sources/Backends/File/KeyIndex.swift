import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The keys of one partition in ascending order, each with the place of its record: a list of chunks that hold their
/// keys' bytes in one array, so that a key costs its own length and about 5 bytes.
///
/// Looking up is O(log n); inserting and removing move at most the bytes of one chunk.
struct KeyIndex {
    /// Where a key's record lies.
    enum Place: Hashable {
        /// A file directly in the folder.
        case value
        /// A file in the hidden folder of tombstones.
        case tombstone
    }

    private static let largestChunk = 256

    /// Ascending; none is empty.
    private var chunks: [Chunk] = []
    private(set) var count = 0

    func place(of key: Key) -> Place? {
        let chunk = chunkIndex(for: key)
        guard chunk < chunks.count else { return nil }
        let position = chunks[chunk].position(notBelow: key)
        return chunks[chunk].holds(key, at: position) ? chunks[chunk].place(at: position) : nil
    }

    /// Notes the key's place.
    /// - Returns: its place before, if it had one.
    @discardableResult
    mutating func set(_ key: Key, _ place: Place) -> Place? {
        if chunks.isEmpty { chunks.append(Chunk()) }
        let chunk = chunkIndex(for: key)
        let position = chunks[chunk].position(notBelow: key)
        if chunks[chunk].holds(key, at: position) {
            let before = chunks[chunk].place(at: position)
            chunks[chunk].setPlace(place, at: position)
            return before
        }
        chunks[chunk].insert(key, place, at: position)
        count += 1
        if chunks[chunk].count > KeyIndex.largestChunk { chunks.insert(chunks[chunk].splitUpperHalf(), at: chunk + 1) }
        return nil
    }

    /// - Returns: the place of the key that is now forgotten, if it had one.
    @discardableResult
    mutating func remove(_ key: Key) -> Place? {
        let chunk = chunkIndex(for: key)
        guard chunk < chunks.count else { return nil }
        let position = chunks[chunk].position(notBelow: key)
        guard chunks[chunk].holds(key, at: position) else { return nil }
        let before = chunks[chunk].place(at: position)
        chunks[chunk].remove(at: position)
        count -= 1
        if chunks[chunk].count == 0 { chunks.remove(at: chunk) }
        return before
    }

    /// Up to `limit` keys that start with `prefix` and follow `after`, and whether they are the last ones.
    func page(after: Key?, prefix: [UInt8], limit: Int) -> (keys: [Key], isLast: Bool) {
        let start = after.map { max($0, Key(unchecked: prefix)) } ?? Key(unchecked: prefix)
        var chunk = chunkIndex(for: start)
        guard chunk < chunks.count else { return ([], true) }
        var position = chunks[chunk].position(notBelow: start)
        var keys: [Key] = []
        while chunk < chunks.count {
            while position < chunks[chunk].count {
                let key = chunks[chunk].key(at: position)
                guard key.hasPrefix(prefix) else { return (keys, true) }
                if key != after {
                    guard keys.count < limit else { return (keys, false) }
                    keys.append(key)
                }
                position += 1
            }
            chunk += 1
            position = 0
        }
        return (keys, true)
    }

    /// About `limit` keys spread evenly, for estimates.
    func sample(_ limit: Int) -> [(key: Key, place: Place)] {
        guard count > 0, limit > 0 else { return [] }
        let step = max(1, chunks.count / limit)
        return stride(from: 0, to: chunks.count, by: step).map { index in
            let position = chunks[index].count / 2
            return (chunks[index].key(at: position), chunks[index].place(at: position))
        }
    }

    /// The last chunk that starts at or below `key`; the first one when all start above it.
    private func chunkIndex(for key: Key) -> Int {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].compare(0, with: key) <= 0 { low = middle + 1 } else { high = middle }
        }
        return max(0, low - 1)
    }
}

/// Keys in one array of bytes.
private struct Chunk {
    private var bytes: [UInt8] = []
    /// Per key: where it ends in `bytes`, times two, plus one for a tombstone.
    private var ends: [UInt32] = []

    var count: Int { ends.count }

    private func range(_ position: Int) -> Range<Int> {
        (position == 0 ? 0 : Int(ends[position - 1] >> 1))..<Int(ends[position] >> 1)
    }

    func key(at position: Int) -> Key { Key(unchecked: Array(bytes[range(position)])) }

    func place(at position: Int) -> KeyIndex.Place { ends[position] & 1 == 0 ? .value : .tombstone }

    mutating func setPlace(_ place: KeyIndex.Place, at position: Int) {
        ends[position] = ends[position] & ~1 | (place == .tombstone ? 1 : 0)
    }

    /// Negative, zero or positive as the stored key is below, equal to or above `key`.
    func compare(_ position: Int, with key: Key) -> Int {
        guard position < count else { return 1 }
        let range = range(position)
        let order = bytes.withUnsafeBytes { stored in
            key.bytes.withUnsafeBytes { wanted in
                guard let left = stored.baseAddress, let right = wanted.baseAddress else { return 0 }
                return Int(memcmp(left + range.lowerBound, right, min(range.count, wanted.count)))
            }
        }
        return order != 0 ? order : range.count - key.bytes.count
    }

    func holds(_ key: Key, at position: Int) -> Bool {
        position < count && compare(position, with: key) == 0
    }

    func position(notBelow key: Key) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if compare(middle, with: key) < 0 { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func insert(_ key: Key, _ place: KeyIndex.Place, at position: Int) {
        let start = position == 0 ? 0 : Int(ends[position - 1] >> 1)
        bytes.insert(contentsOf: key.bytes, at: start)
        ends.insert(UInt32(start) << 1, at: position)
        for index in position..<ends.count { ends[index] += UInt32(key.bytes.count) << 1 }
        setPlace(place, at: position)
    }

    mutating func remove(at position: Int) {
        let range = range(position)
        bytes.removeSubrange(range)
        ends.remove(at: position)
        for index in position..<ends.count { ends[index] -= UInt32(range.count) << 1 }
    }

    mutating func splitUpperHalf() -> Chunk {
        let middle = count / 2
        let start = Int(ends[middle - 1] >> 1)
        var upper = Chunk()
        upper.bytes = Array(bytes[start...])
        upper.ends = ends[middle...].map { $0 - UInt32(start) << 1 }
        bytes.removeSubrange(start...)
        ends.removeSubrange(middle...)
        return upper
    }
}
