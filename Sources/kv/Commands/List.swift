import ArgumentParser

/// `kv ls`
struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List keys in order of their bytes.")

    /// Keys asked for at once.
    static let pageLength = 1_000

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "At most so many.")
    var limit: Int?

    @Flag(help: "With values.")
    var values = false

    @Option(help: "Ask this node.")
    var node: String?

    @Argument(help: "Only keys that start so.")
    var prefix: String?

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit takes 1 or more") }
    }

    func run() async throws {
        var left = limit ?? Int.max
        var cursor: String?
        var incomplete: Set<Int> = []
        var table = values ? Table("key", "value", "version") : Table("key", "version")
        repeat {
            let path = target.query(
                "/keys",
                [
                    ("prefix", prefix), ("limit", String(min(left, List.pageLength))), ("cursor", cursor),
                    ("values", values ? "true" : nil), ("node", node),
                ])
            let answer = try await target.client.request(.get, path)
            let page = try target.client.decode(KeysDocument.self, from: answer)
            switch output.output ?? .raw {
            case .json: answer.printJSON()
            case .raw: printRaw(page)
            case .table:
                for entry in page.keys {
                    if values {
                        table.add(entry.key, entry.value ?? "", entry.version)
                    } else {
                        table.add(entry.key, entry.version)
                    }
                }
            }
            left -= page.keys.count
            incomplete.formUnion(page.incomplete)
            cursor = page.nextCursor
        } while cursor != nil && left > 0
        if output.output == .table { table.print() }
        guard incomplete.isEmpty else {
            throw CommandFailure(
                .error,
                "the list is incomplete: \(incomplete.count) partitions could not be asked, their keys are missing")
        }
    }

    /// A key a line, or a key, a tabulator and its value. For a person without what could command the terminal.
    private func printRaw(_ page: KeysDocument) {
        let isTerminal = Terminal.Stream.output.isTerminal
        var bytes: [UInt8] = []
        for entry in page.keys {
            var line = Array(entry.key.utf8)
            if values {
                line.append(UInt8(ascii: "\t"))
                line += entry.decodedValue ?? []
            }
            if isTerminal { line = Array(Terminal.printable(String(decoding: line, as: UTF8.self)).utf8) }
            bytes += line + [UInt8(ascii: "\n")]
        }
        Terminal.write(bytes)
    }
}
