public import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Changes bytes behind an engine's back, in the files where a value lies as it is.
public enum StoredBytes {
    /// Flips one bit in the middle of every occurrence of `value` in the files below `folder`: engines may keep older copies
    /// of a page. The suite's hook for damage unless another is given.
    /// - Throws: `ConformanceSkip` when there is none, such as in an engine that compresses.
    @Sendable
    public static func flipBit(_ folder: String, _ key: Key, _ value: [UInt8]) throws {
        let places = find(value, below: folder)
        guard !places.isEmpty else { throw notFound }
        for (file, offset) in places {
            try write([value[value.count / 2] ^ 0x10], to: file, at: offset + value.count / 2)
        }
    }

    /// Puts each of two values of the same length where the other one was.
    /// - Throws: `ConformanceSkip` when one isn't found.
    static func swap(_ folder: String, _ first: [UInt8], _ second: [UInt8]) throws {
        precondition(first.count == second.count)
        let (firsts, seconds) = (find(first, below: folder), find(second, below: folder))
        guard !firsts.isEmpty, !seconds.isEmpty else { throw notFound }
        for (file, offset) in firsts { try write(second, to: file, at: offset) }
        for (file, offset) in seconds { try write(first, to: file, at: offset) }
    }

    private static var notFound: ConformanceSkip {
        ConformanceSkip("the engine's files don't hold the value as it is (compressed, split or encrypted)")
    }

    private static func find(_ value: [UInt8], below folder: String) -> [(file: String, offset: Int)] {
        guard let first = value.first else { return [] }
        var result: [(file: String, offset: Int)] = []
        for file in FileTree.files(below: folder) {
            let content = FileTree.content(file)
            content.withUnsafeBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                var offset = 0
                while offset + value.count <= bytes.count {
                    let rest = bytes.count - value.count - offset + 1
                    guard let found = memchr(base + offset, Int32(first), rest) else { return }
                    offset = UnsafeRawPointer(found) - base
                    if memcmp(base + offset, value, value.count) == 0 {
                        result.append((file, offset))
                        offset += value.count
                    } else {
                        offset += 1
                    }
                }
            }
        }
        return result
    }

    private static func write(_ bytes: [UInt8], to file: String, at offset: Int) throws {
        let descriptor = open(file, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ConformanceFailure("\(file) can't be damaged") }
        defer { close(descriptor) }
        guard pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count else {
            throw ConformanceFailure("\(file) can't be damaged")
        }
    }
}
