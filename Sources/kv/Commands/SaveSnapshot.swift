import ArgumentParser
import Foundation
import KVProtocols
import KVSnapshot
import KVStorage

/// `kv snapshot save`
struct SaveSnapshot: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save", abstract: "Write a snapshot of a cluster, of one node, or of a stopped node's folder.",
        discussion: """
            Of a cluster: every key's value, as a linearizable read of it gave at some moment while the snapshot was taken; \
            writes go on meanwhile. Of a node (--node): what that node holds. Of a folder (--folder): what a stopped node's data \
            folder holds, deleted keys and versions included.
            """)

    /// For how long a page is asked for while some partition can't answer.
    private static let patience = Duration.seconds(30)

    @OptionGroup var target: TargetOptions

    @Option(help: "Only what this node holds.")
    var node: String?

    @Option(help: ArgumentHelp("A stopped node's data folder.", valueName: "folder"), completion: .directory)
    var folder: String?

    @Option(help: ArgumentHelp("With --folder: an option of its backend; may be repeated.", valueName: "name=value"))
    var option: [String] = []

    @Option(help: "Only keys that start so.")
    var prefix: String?

    @Flag(help: "Replace the file if it exists.")
    var replace = false

    @Argument(help: "The file to write; - writes to standard output.", completion: .file()) var file: String

    func validate() throws {
        if folder != nil, node != nil || prefix != nil {
            throw ValidationError("--folder takes everything in the folder, without --node and --prefix")
        }
    }

    func run() async throws {
        let output = try SnapshotOutput(file, replacing: replace)
        let end: SnapshotEnd
        do {
            end = if let folder { try saveFolder(folder, to: output) } else { try await save(to: output) }
            try output.finish()
        } catch {
            output.abandon()
            throw error
        }
        Terminal.say(
            "\(end.records) records, \(end.bytes) bytes of keys and values, content \(String(end.content, radix: 16))")
    }

    private func saveFolder(_ path: String, to output: SnapshotOutput) throws -> SnapshotEnd {
        let (place, partitions) = try BackendPlace.existing(path)
        let head = SnapshotHead(source: .folder, name: place.path, createdAt: WallClock.milliseconds())
        var writer = try SnapshotWriter(head, write: output.write)
        let bar = ProgressBar()
        defer { bar.end() }
        try place.place(options: BackendOption.parse(option)).records(partitions) { page in
            for (key, record) in page { try writer.add(key, record) }
            bar.show("saving", writer.counts.records, of: 0)
        }
        return try writer.finish()
    }

    private func save(to output: SnapshotOutput) async throws -> SnapshotEnd {
        let health = try await target.client.document("/health", as: ServerDocument.self)
        let head = SnapshotHead(
            source: node == nil ? .cluster : .node, name: node ?? health.cluster, createdAt: WallClock.milliseconds(),
            prefix: prefix ?? "")
        var writer = try SnapshotWriter(head, write: output.write)
        let bar = ProgressBar()
        defer { bar.end() }
        var cursor: String?
        repeat {
            let page = try await page(after: cursor)
            for entry in page.keys { try SaveSnapshot.add(entry, to: &writer) }
            bar.show("saving", writer.counts.records, of: 0)
            cursor = page.nextCursor
        } while cursor != nil
        return try writer.finish()
    }

    private func page(after cursor: String?) async throws -> KeysDocument {
        let path = target.query(
            "/keys",
            [
                ("prefix", prefix), ("limit", String(List.pageLength)), ("cursor", cursor), ("values", "true"),
                ("node", node),
            ])
        return try await SaveSnapshot.page(Repetition(for: SaveSnapshot.patience)) {
            try await target.client.document(path, as: KeysDocument.self)
        }
    }

    /// A page that lacks nothing: what a partition could not tell is asked for again.
    static func page(_ repetition: Repetition, ask: () async throws -> KeysDocument) async throws -> KeysDocument {
        try await repetition.run {
            "\($0), and a snapshot without some keys would be none; `kv health` says why"
        } _: {
            let page = try await ask()
            guard page.incomplete.isEmpty else {
                throw CommandFailure(
                    .noQuorum, "\(page.incomplete.count) partitions can't tell all their keys", mayPass: true)
            }
            return page
        }
    }

    private static func add(_ entry: KeysDocument.Entry, to writer: inout SnapshotWriter) throws {
        guard let version = KVProtocols.Version(entry.version), let value = entry.decodedValue else {
            throw CommandFailure(
                .error, "the answer about \(entry.key) can't be read; is the server of another version?")
        }
        let key = try Key(entry.key)
        try writer.add(
            key, Record(key: key, version: version, value: value, expiresAt: entry.expiresAt ?? 0))
    }
}

extension KeysDocument.Entry {
    /// `nil` when there is none, or it is not what its encoding says.
    var decodedValue: [UInt8]? {
        guard let value else { return nil }
        guard encoding == "base64" else { return Array(value.utf8) }
        return Data(base64Encoded: value).map { Array($0) }
    }
}
