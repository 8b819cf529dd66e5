internal import Foundation
public import KVProtocols

/// Writes a snapshot, frame by frame, to wherever `write` puts bytes. For one thread. Memory: one frame.
///
/// Durability is the caller's: a snapshot counts once `finish` has returned and what was written is on a disk.
public struct SnapshotWriter {
    private let write: ([UInt8]) throws -> Void
    private var number: UInt64 = 0
    private var pending: [UInt8] = []
    private var end = SnapshotEnd()

    /// Writes the head.
    /// - Throws: what `write` throws.
    public init(_ head: SnapshotHead, write: @escaping ([UInt8]) throws -> Void) throws {
        self.write = write
        try write(SnapshotFormat.magic)
        try frame(SnapshotFormat.Kind.head, Array(JSONEncoder().encode(head)))
    }

    /// What was written so far.
    public var counts: SnapshotEnd { end }

    /// Adds a record, in any order of keys; a key once.
    /// - Throws: what `write` throws.
    public mutating func add(_ key: Key, _ record: Record) throws {
        let value = record.value ?? []
        if !pending.isEmpty, pending.count + key.bytes.count + value.count > SnapshotFormat.frameBytes { try flush() }
        pending.append(UInt8(key.bytes.count & 0xFF))
        pending.append(UInt8(key.bytes.count >> 8))
        pending += key.bytes
        pending += RecordHeader(record).bytes
        pending += value
        end.count(key, record)
    }

    /// Writes what is left and the end, and says what the snapshot holds.
    /// - Throws: what `write` throws.
    public mutating func finish() throws -> SnapshotEnd {
        try flush()
        try frame(SnapshotFormat.Kind.end, Array(JSONEncoder().encode(end)))
        return end
    }

    private mutating func flush() throws {
        guard !pending.isEmpty else { return }
        try frame(SnapshotFormat.Kind.records, pending)
        pending.removeAll(keepingCapacity: true)
    }

    private mutating func frame(_ kind: UInt8, _ payload: [UInt8]) throws {
        var bytes: [UInt8] = [kind]
        bytes.reserveCapacity(payload.count + 9)
        SnapshotWriter.append(UInt32(payload.count), to: &bytes)
        bytes += payload
        SnapshotWriter.append(SnapshotFormat.checksum(number, kind, payload), to: &bytes)
        number += 1
        try write(bytes)
    }

    private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
        for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift))) }
    }
}
