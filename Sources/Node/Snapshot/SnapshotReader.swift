internal import Foundation
internal import KVProtocols

/// Reads a snapshot from wherever `read` gets bytes, and verifies all of it: every frame, every record, and at the end
/// what was counted. For one thread. Memory: one frame. Nothing in the bytes, whatever they are, ends the process.
public struct SnapshotReader {
    public let head: SnapshotHead
    private let source: Source
    private var number: UInt64 = 1
    private var counts = SnapshotEnd()
    /// What the snapshot's end says; `nil` until it was reached and agreed.
    public private(set) var end: SnapshotEnd?

    /// Reads the head.
    /// - Parameter read: up to so many bytes, none only at the end.
    /// - Throws: `SnapshotError` when it is not a snapshot of a known format; what `read` throws.
    public init(read: @escaping (Int) throws -> [UInt8]) throws {
        source = Source(read: read)
        guard try source.exactly(SnapshotFormat.magic.count) == SnapshotFormat.magic else {
            throw SnapshotError(.foreign, "this is not a snapshot")
        }
        let (kind, payload) = try source.frame(0)
        guard kind == SnapshotFormat.Kind.head else { throw SnapshotReader.damaged("it does not begin with its head") }
        head = try SnapshotReader.decode(SnapshotHead.self, payload, "head")
        guard head.format == SnapshotFormat.version else {
            throw SnapshotError(
                .foreign,
                "the snapshot has format \(head.format), this program knows \(SnapshotFormat.version); use the program that wrote it"
            )
        }
    }

    /// The next records; `nil` at the end, after everything agreed.
    /// - Throws: `SnapshotError` for bytes that are not what was written; what `read` throws.
    public mutating func next() throws -> [SnapshotRecord]? {
        guard end == nil else { return nil }
        let (kind, payload) = try source.frame(number)
        number += 1
        switch kind {
        case SnapshotFormat.Kind.records:
            let records = try SnapshotReader.records(payload)
            for entry in records { counts.count(entry.key, entry.record) }
            return records
        case SnapshotFormat.Kind.end:
            let said = try SnapshotReader.decode(SnapshotEnd.self, payload, "end")
            guard said == counts else {
                throw SnapshotReader.damaged("it holds \(counts.records) records, not \(said.records)")
            }
            guard try source.isAtEnd() else { throw SnapshotReader.damaged("something follows its end") }
            end = said
            return nil
        default:
            throw SnapshotReader.damaged("a frame is of no known kind")
        }
    }

    private static func records(_ payload: [UInt8]) throws -> [SnapshotRecord] {
        var records: [SnapshotRecord] = []
        var rest = payload[...]
        while !rest.isEmpty {
            guard rest.count >= 2 else { throw damaged("a record is cut off") }
            let keyLength = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
            rest = rest.dropFirst(2)
            guard rest.count >= keyLength + RecordHeader.length else { throw damaged("a record is cut off") }
            let keyBytes = Array(rest.prefix(keyLength))
            rest = rest.dropFirst(keyLength)
            guard let header = Array(rest.prefix(RecordHeader.length)).withUnsafeBytes({ RecordHeader($0) }) else {
                throw damaged("a record's header can't be read")
            }
            rest = rest.dropFirst(RecordHeader.length)
            guard rest.count >= header.valueLength else { throw damaged("a record is cut off") }
            let record = header.record(value: Array(rest.prefix(header.valueLength)))
            rest = rest.dropFirst(header.valueLength)
            let key: Key
            do { key = try Key(validating: keyBytes) } catch { throw damaged("a key is none: \(error)") }
            guard record.isIntact(for: key) else { throw damaged("the record of a key fails verification") }
            records.append(SnapshotRecord(key: key, record: record))
        }
        return records
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, _ payload: [UInt8], _ what: String) throws -> Value
    {
        do {
            return try JSONDecoder().decode(type, from: Data(payload))
        } catch {
            throw damaged("its \(what) can't be read")
        }
    }

    fileprivate static func damaged(_ what: String) -> SnapshotError {
        SnapshotError(.damaged, "the snapshot is damaged: \(what)")
    }
}

/// Bytes as frames need them.
private struct Source {
    let read: (Int) throws -> [UInt8]

    func exactly(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = try read(min(count - bytes.count, 1 << 20))
            guard !more.isEmpty else {
                throw SnapshotError(.cutOff, "the snapshot is not whole: it ends before its end")
            }
            bytes += more
        }
        return bytes
    }

    func isAtEnd() throws -> Bool { try read(1).isEmpty }

    func frame(_ number: UInt64) throws -> (kind: UInt8, payload: [UInt8]) {
        let head = try exactly(5)
        let length = Source.integer(head[1...])
        guard length <= SnapshotFormat.maximumFrameLength else {
            throw SnapshotReader.damaged("a frame claims \(length) bytes")
        }
        let payload = try exactly(length)
        guard Source.integer(try exactly(4)[...]) == Int(SnapshotFormat.checksum(number, head[0], payload)) else {
            throw SnapshotReader.damaged("a checksum does not match")
        }
        return (head[0], payload)
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
}
