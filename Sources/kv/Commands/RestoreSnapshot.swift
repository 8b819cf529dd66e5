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
            Keys get new versions, and expire when they would have. The snapshot is verified as a whole before the first key is \
            written, unless it is standard input.
            """)

    /// Requests under way at the same time.
    private static let concurrency = 32
    @OptionGroup var target: TargetOptions

    @Flag(help: "Replace the values of keys that exist.")
    var overwrite = false

    @Argument(help: "The snapshot; - reads it from standard input.", completion: .file()) var file: String

    func run() async throws {
        let total = try verify()
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

/// Writes one key at a time, and finds out how a write ended of which nobody knows.
struct RestoreWriter {
    enum Outcome: Hashable {
        case written
        /// The key has this value.
        case present
        /// The key has another value.
        case different
    }

    struct Counts {
        var written = 0
        var present = 0
        /// Deleted or expired in the snapshot.
        var gone = 0
        var different = 0
        /// The first of those that differ.
        var examples: [String] = []

        var all: Int { written + present + gone + different }

        mutating func add(_ key: Key, _ outcome: Outcome) {
            switch outcome {
            case .written: written += 1
            case .present: present += 1
            case .different:
                different += 1
                if examples.count < 10 { examples.append(key.description) }
            }
        }
    }

    private static let attempts = 120
    private static let pause = Duration.milliseconds(500)

    let target: TargetOptions
    let overwrites: Bool

    /// Puts the value, creating the key unless what exists may be overwritten.
    ///
    /// A refusal is tried again for a minute. So is a create whose outcome is unknown, which is harmless: it takes effect once,
    /// whichever attempt it was, and finds the key there afterwards. With `overwrites` an attempt that takes effect late writes
    /// the same value again.
    func put(_ entry: SnapshotRecord) async throws -> Outcome {
        let key = String(decoding: entry.key.bytes, as: UTF8.self)
        var last = CommandFailure(.noQuorum, "no attempt was made")
        for _ in 0..<RestoreWriter.attempts {
            do {
                return try await attempt(key, entry.record)
            } catch let failure as CommandFailure where failure.mayPass || failure.code == .notFound {
                // Not found: what was there when the key was to be created was deleted before it could be compared.
                last = failure
            }
            try await Task.sleep(for: RestoreWriter.pause)
        }
        throw CommandFailure(
            last.code, "\(key) could not be written: \(last.message). The same command goes on from here")
    }

    private func attempt(_ key: String, _ record: Record) async throws -> Outcome {
        let now = WallClock.milliseconds()
        guard record.expiresAt == 0 || record.expiresAt > now else { return .present }
        let ttl = record.expiresAt == 0 ? nil : String(Double(record.expiresAt - now) / 1_000)
        var headers = [("content-type", "application/octet-stream")]
        if !overwrites { headers.append(("if-none-match", "*")) }
        let answer = try await target.client.send(
            .put, try target.target(key, [("ttl", ttl)]), headers: headers, body: record.value ?? [])
        if answer.status < 300 { return .written }
        if answer.status == 412 { return try await compare(key, record) }
        throw StoreClient.failure(status: answer.status, ProblemDocument(answer.body))
    }

    /// Of values alone: a time of expiry is told to the server as the time that is left.
    private func compare(_ key: String, _ record: Record) async throws -> Outcome {
        let answer = try await target.client.request(
            .get, try target.target(key), headers: [("accept", "application/octet-stream")])
        return answer.body == record.value ? .present : .different
    }
}
