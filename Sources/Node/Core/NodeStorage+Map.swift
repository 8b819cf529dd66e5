import Foundation
public import KVProtocols
import KVStorage

/// The cluster map among the node's metadata. A value there has at most 1 MiB, and the map of 16,384 partitions more: it is
/// kept in parts. There are two sets of parts, and a head that names the one in force and is written last, so that a
/// crash amid a write leaves the map before.
extension NodeStorage {
    private struct Head: Codable {
        var set: Int
        var parts: Int
        var bytes: Int
    }

    fileprivate static let headName = "map"
    private static let partBytes = 512 << 10

    fileprivate static func name(_ set: Int, _ part: Int) -> String { "map_\(set)_\(part)" }

    /// Keeps the map, durable with the next commit. O(partitions).
    func saveMap(_ map: ClusterMap) throws {
        let bytes = try Array(JSONEncoder().encode(map))
        let old = try mapHead()
        let set = old.map { 1 - $0.set } ?? 0
        var parts = 0
        for start in stride(from: 0, to: bytes.count, by: Self.partBytes) {
            saveNode(Self.name(set, parts), Array(bytes[start..<min(start + Self.partBytes, bytes.count)]))
            parts += 1
        }
        saveNode(Self.headName, try Array(JSONEncoder().encode(Head(set: set, parts: parts, bytes: bytes.count))))
        if let old { forgetParts(old) }
    }

    func forgetMap() {
        do {
            if let old = try mapHead() { forgetParts(old) }
        } catch {
            // Without a head nobody looks at parts; they are written over one day.
        }
        saveNode(Self.headName, nil)
    }

    /// The map that was saved last; `nil` when there is none.
    /// - Throws: `.damaged` when it can't be read, or is not of so many partitions; what the storage throws.
    func savedMap(partitions: Int) throws -> ClusterMap? {
        guard let head = try mapHead() else { return nil }
        var bytes: [UInt8] = []
        for part in 0..<head.parts { bytes += try node(Self.name(head.set, part)) ?? [] }
        guard bytes.count == head.bytes else { throw Self.unreadable("\(bytes.count) bytes instead of \(head.bytes)") }
        let map: ClusterMap
        do {
            map = try JSONDecoder().decode(ClusterMap.self, from: Data(bytes))
        } catch {
            throw Self.unreadable("\(error)")
        }
        guard map.partitions.count == partitions else {
            throw Self.unreadable("it has \(map.partitions.count) partitions, the configuration \(partitions)")
        }
        return map
    }

    private func mapHead() throws -> Head? {
        guard let bytes = try node(Self.headName) else { return nil }
        let head: Head
        do {
            head = try JSONDecoder().decode(Head.self, from: Data(bytes))
        } catch {
            throw Self.unreadable("\(error)")
        }
        guard 0...1 ~= head.set, 0...1_024 ~= head.parts else { throw Self.unreadable("its head is not one") }
        return head
    }

    private func forgetParts(_ head: Head) {
        for part in 0..<head.parts { saveNode(Self.name(head.set, part), nil) }
    }

    private static func unreadable(_ cause: String) -> StorageError {
        StorageError(
            .damaged, "the stored cluster map can't be read; restore the data folder or start with an empty one",
            cause: cause)
    }
}

extension Node {
    /// The names of everything that a node keeps in its backend's metadata besides what its storage keeps.
    /// - Throws: what `metadata` throws.
    public static func metadataNames(in backend: any StorageBackend) throws(StorageError) -> [String] {
        var names = [Engine.identityName, NodeStorage.headName]
        for set in 0...1 {
            var part = 0
            while try backend.metadata(.node, NodeStorage.name(set, part)) != nil {
                names.append(NodeStorage.name(set, part))
                part += 1
            }
        }
        return names
    }
}
