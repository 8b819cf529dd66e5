import ArgumentParser

/// `kv moves`
struct Moves: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is being copied to where, and how long it will take.",
        discussion: "Keys and bytes that are left, and times, are estimates.")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    struct Document: Decodable {
        struct Work: Decodable {
            var kind: String
            var node: String?
            var partitions: Int
            var partitionsLeft: Int
            var keys: UInt64
            var bytes: UInt64
            var runningMs: Int
            var msLeft: Int?
        }

        struct Progress: Decodable {
            var keys: UInt64
            var keysLeft: UInt64
            var bytes: UInt64
            var bytesLeft: UInt64
            var msLeft: Int?
        }

        struct Partition: Decodable {
            var partition: Int
            var members: [String]
            var previous: [String]?
            var leader: String?
            var progress: Progress?
        }

        struct Summary: Decodable {
            var moving: Int
            var waiting: Int
        }

        var summary: Summary
        var work: [Work]
        var partitions: [Partition]
    }

    func run() async throws {
        let answer = try await target.client.request(.get, "/partitions")
        if output.output == .json { return answer.printJSON() }
        let document = try target.client.decode(Document.self, from: answer)
        for work in document.work { Terminal.print(Moves.line(work)) }
        let moving = document.partitions.filter { $0.previous != nil || $0.progress != nil }
        guard !moving.isEmpty else {
            let waiting = document.summary.waiting
            return Terminal.print(waiting == 0 ? "nothing moves" : "nothing moves; \(waiting) partitions wait to")
        }
        var table = Table("partition", "from", "to", "copied by", "keys", "left", "bytes", "left", "time left")
        for partition in moving {
            let old = partition.previous ?? partition.members
            let progress = partition.progress
            table.add(
                String(partition.partition), old.filter { !partition.members.contains($0) }.joined(separator: " "),
                partition.members.filter { !old.contains($0) }.joined(separator: " "), partition.leader ?? "nobody",
                progress.map { String($0.keys) } ?? "-", progress.map { String($0.keysLeft) } ?? "-",
                progress.map { String($0.bytes) } ?? "-", progress.map { String($0.bytesLeft) } ?? "-",
                progress?.msLeft.map(Moves.seconds) ?? "-")
        }
        table.print()
        if document.summary.waiting > 0 { Terminal.print("\(document.summary.waiting) more partitions wait") }
    }

    /// One piece of work as a sentence.
    static func line(_ work: Document.Work) -> String {
        let what = work.node.map { "\(work.kind) of \(Terminal.printable($0))" } ?? work.kind
        let left = work.msLeft.map { ", about \(seconds($0)) left" } ?? ""
        return "\(what): \(work.partitions - work.partitionsLeft) of \(work.partitions) partitions, \(work.keys) keys, "
            + "\(work.bytes) bytes in \(seconds(work.runningMs))\(left)"
    }

    private static func seconds(_ milliseconds: Int) -> String {
        milliseconds < 10_000 ? "\(milliseconds / 1000).\(milliseconds / 100 % 10) s" : "\(milliseconds / 1000) s"
    }
}
