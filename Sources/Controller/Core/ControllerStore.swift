import Foundation
import KVProtocols

/// The controller's state as metadata of a backend.
///
/// The map is stored in parts, under one of two names in turn; the head, which says which one counts and what its
/// checksum is, comes last in the batch. Backends apply batches in order, so that a crash leaves the old head with the
/// old map or the new head with the new map.
struct ControllerStore {
    private struct Head: Codable {
        var state: ControllerState
        var map: MapPointer?
    }

    private struct MapPointer: Codable {
        var slot: Int
        var parts: Int
        var checksum: UInt32
    }

    struct Loaded {
        var state: ControllerState?
        var map: ClusterMap?
        var events: [ClusterEvent] = []
    }

    private static let headName = "controller_state"
    /// Metadata values hold 1 MiB at most.
    private static let partLength = 512 << 10

    private let backend: any StorageBackend
    private let encoder: JSONEncoder
    private let decoder = JSONDecoder()
    private var pointer: MapPointer?

    init(backend: any StorageBackend) {
        self.backend = backend
        encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
    }

    /// - Throws: `StorageError`: `.damaged` when the stored bytes don't make sense, `.foreign` when they are of a newer
    ///   format, or what the backend throws.
    mutating func load() throws(StorageError) -> Loaded {
        var loaded = Loaded()
        guard let bytes = try backend.metadata(.node, ControllerStore.headName) else { return loaded }
        let head: Head = try decode(bytes, "state")
        guard head.state.format == ControllerState.format else {
            throw StorageError(
                .foreign,
                "The controller's folder has format \(head.state.format), this program knows "
                    + "\(ControllerState.format). Use the version of the program that wrote it.")
        }
        loaded.state = head.state
        pointer = head.map
        if let pointer { loaded.map = try loadMap(pointer) }
        for segment in 0..<EventLog.segments {
            guard let bytes = try backend.metadata(.node, "events_\(segment)") else { continue }
            let events: [ClusterEvent] = try decode(bytes, "event log")
            loaded.events += events
        }
        return loaded
    }

    private func loadMap(_ pointer: MapPointer) throws(StorageError) -> ClusterMap {
        var bytes: [UInt8] = []
        var checksum = CRC32C()
        for part in 0..<pointer.parts {
            guard let piece = try backend.metadata(.node, ControllerStore.partName(pointer.slot, part)) else {
                throw StorageError(.damaged, "Part \(part) of the stored cluster map is missing. Restore the folder.")
            }
            bytes += piece
        }
        checksum.update(bytes)
        guard checksum.value == pointer.checksum else {
            throw StorageError(.damaged, "The stored cluster map fails its checksum. Restore the folder.")
        }
        return try decode(bytes, "cluster map")
    }

    /// Stores the state, and the map when it is given. Durable when it returns.
    mutating func save(_ state: ControllerState, map: ClusterMap?) throws(StorageError) {
        var batch: [StorageOperation] = []
        var next = pointer
        if let map {
            let bytes = try encode(map)
            let slot = pointer?.slot == 0 ? 1 : 0
            var checksum = CRC32C()
            checksum.update(bytes)
            var part = 0
            for start in stride(from: 0, to: bytes.count, by: ControllerStore.partLength) {
                let piece = Array(bytes[start..<min(bytes.count, start + ControllerStore.partLength)])
                batch.append(.metadata(.node, ControllerStore.partName(slot, part), piece))
                part += 1
            }
            next = MapPointer(slot: slot, parts: part, checksum: checksum.value)
        }
        batch.append(.metadata(.node, ControllerStore.headName, try encode(Head(state: state, map: next))))
        try backend.apply(batch)
        pointer = next
    }

    /// Stores the segments of the event log that changed.
    func save(_ log: EventLog) throws(StorageError) {
        var batch: [StorageOperation] = []
        for segment in log.dirty.sorted() {
            batch.append(.metadata(.node, "events_\(segment)", try encode(log.events(inSegment: segment))))
        }
        if !batch.isEmpty { try backend.apply(batch) }
    }

    private static func partName(_ slot: Int, _ part: Int) -> String { "map_\(slot)_\(part)" }

    private func encode(_ value: some Encodable) throws(StorageError) -> [UInt8] {
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw StorageError(.invalid, "The controller's state can't be encoded: \(error)")
        }
    }

    private func decode<Value: Decodable>(_ bytes: [UInt8], _ what: String) throws(StorageError) -> Value {
        do {
            return try decoder.decode(Value.self, from: Data(bytes))
        } catch {
            throw StorageError(.damaged, "The controller's stored \(what) can't be read. Restore the folder.")
        }
    }
}
