import ArgumentParser
import Foundation
import KVProtocols
import KVSnapshot

/// `kv snapshot`
struct Snapshot: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot", abstract: "Save, restore and inspect snapshots.",
        discussion:
            "A snapshot is one file, independent of backends and of the shape of the cluster, checksummed throughout.",
        subcommands: [SaveSnapshot.self, RestoreSnapshot.self, InspectSnapshot.self])
}

/// `kv snapshot inspect`
struct InspectSnapshot: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Verify a snapshot as a whole and say what it holds.")

    @Flag(help: "List the keys with their versions; deleted ones are marked.")
    var keys = false

    @OptionGroup var output: OutputOptions

    @Argument(help: "The snapshot; - reads it from standard input.", completion: .file()) var file: String

    func run() async throws {
        let input = try SnapshotInput(file)
        var reader = try SnapshotReader(read: input.read)
        var lines: [UInt8] = []
        let isTerminal = Terminal.Stream.output.isTerminal
        while let records = try reader.next() {
            guard keys else { continue }
            for entry in records {
                let mark = entry.record.isTombstone ? "\tdeleted" : ""
                let name = isTerminal ? Array(Terminal.printable(entry.key.description).utf8) : entry.key.bytes
                lines += name + Array("\t\(entry.record.version)\(mark)\n".utf8)
            }
            Terminal.write(lines)
            lines.removeAll(keepingCapacity: true)
        }
        guard !keys, let end = reader.end else { return }
        let head = reader.head
        let content = String(end.content, radix: 16)
        if output.output == .json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let document = InspectSnapshot.Document(
                source: head.source.rawValue, name: head.name, createdAt: head.createdAt, prefix: head.prefix,
                records: end.records, tombstones: end.tombstones, bytes: end.bytes, content: content)
            return Terminal.write(Array(try encoder.encode(document)) + [UInt8(ascii: "\n")])
        }
        let date = Date(timeIntervalSince1970: Double(head.createdAt) / 1_000)
        var table = Table("what", "value")
        table.add("of", "\(head.source.rawValue) \(head.name)")
        table.add("created", date.ISO8601Format())
        if !head.prefix.isEmpty { table.add("prefix", head.prefix) }
        table.add("records", String(end.records))
        table.add("of them deleted", String(end.tombstones))
        table.add("bytes of keys and values", String(end.bytes))
        table.add("content", content)
        table.print()
    }

    private struct Document: Encodable {
        var source: String
        var name: String
        var createdAt: UInt64
        var prefix: String
        var records: UInt64
        var tombstones: UInt64
        var bytes: UInt64
        /// Hexadecimal; equal for equal keys and values.
        var content: String

        private enum CodingKeys: String, CodingKey {
            case source, name, prefix, records, tombstones, bytes, content
            case createdAt = "created_at"
        }
    }
}
