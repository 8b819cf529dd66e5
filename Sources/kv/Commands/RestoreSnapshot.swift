import ArgumentParser
import Foundation
import KVProtocols
import KVSnapshot

/// `kv snapshot restore`
struct RestoreSnapshot: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Put a snapshot's keys into a running cluster, of whatever shape.",
        discussion: """
            Keys that exist keep their values unless --overwrite is given; those that differ are told of and the exit code is 4. \
            Interrupted, the same command goes on: what is there already is not written again, but with --overwrite everything is. \
            With --overwrite no one else should write these keys meanwhile: a write whose outcome is unknown is sent again, and may \
            take effect late, over a newer value of another client. \
            Keys get new versions, and expire when they would have. The snapshot is verified as a whole before the first key is \
            written, unless it is standard input.
            """)

    /// Requests under way at the same time.
    private static let concurrency = 32
    @OptionGroup var target: TargetOptions

    @Flag(help: "Replace the values of keys that exist, perhaps also what others write there meanwhile.")
    var overwrite = false

    @Argument(help: "The snapshot; - reads it from standard input.", completion: .file()) var file: String

    func run() async throws {
        let total = try verify()
        // A wrong address must not look like a cluster that is busy for the moment.
        _ = try await target.client.document("/health", as: ServerDocument.self)
        let input = try SnapshotInput(file)
        var reader = try SnapshotReader(read: input.read)
        let writer = RestoreWriter(target: target, overwrites: overwrite)
        let bar = ProgressBar()
        defer { bar.end() }
        var counts = RestoreWriter.Counts()
        while let records = try reader.next() {
            let now = WallClock.milliseconds()
            let live = records.filter {
                !$0.record.isTombstone && ($0.record.expiresAt == 0 || $0.record.expiresAt > now)
            }
            counts.gone += records.count - live.count
            try await RestoreSnapshot.restore(live, writer, &counts)
            bar.show("restoring", UInt64(counts.all), of: total)
        }
        bar.end()
        Terminal.say(
            "\(counts.written) written, \(counts.present) were there already"
                + (counts.gone == 0 ? "" : ", \(counts.gone) deleted or expired ones left out"))
        guard counts.different == 0 else {
            var examples = counts.examples.joined(separator: ", ")
            if counts.different > counts.examples.count { examples += ", ..." }
            throw CommandFailure(
                .preconditionFailed,
                "\(counts.different) keys exist with other values and were left as they are: \(examples); "
                    + "--overwrite replaces them")
        }
    }

    /// Reads a file to its end before anything is written, and counts. 0 for standard input, which can be read only once.
    private func verify() throws -> UInt64 {
        guard file != "-" else { return 0 }
        let input = try SnapshotInput(file)
        var reader = try SnapshotReader(read: input.read)
        while try reader.next() != nil {}
        return reader.end?.records ?? 0
    }

    private static func restore(
        _ records: [SnapshotRecord], _ writer: RestoreWriter, _ counts: inout RestoreWriter.Counts
    ) async throws {
        try await withThrowingTaskGroup(of: (Key, RestoreWriter.Outcome).self) { group in
            var next = 0
            func start() {
                let entry = records[next]
                next += 1
                group.addTask { (entry.key, try await writer.put(entry)) }
            }
            while next < min(concurrency, records.count) { start() }
            while let (key, outcome) = try await group.next() {
                counts.add(key, outcome)
                if next < records.count { start() }
            }
        }
    }
}
