import ArgumentParser

/// `kv put`
struct Put: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give a key a value.", discussion: "Prints the version once the write quorum has it on disk.")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("Seconds after which the key expires.", valueName: "seconds"))
    var ttl: String?

    @Flag(help: "Only if the key has no value.")
    var ifAbsent = false

    @Option(help: ArgumentHelp("Only if this is the key's version.", valueName: "version"))
    var ifVersion: String?

    @Option(help: "Send it to this node.")
    var node: String?

    @Argument var key: String

    @Argument(help: "The value; - reads it from standard input, @file from a file.")
    var value: String

    func validate() throws {
        if ifAbsent, ifVersion != nil { throw ValidationError("--if-absent and --if-version exclude each other") }
    }

    func run() async throws {
        var headers = [("content-type", "application/octet-stream")]
        if ifAbsent { headers.append(("if-none-match", "*")) }
        if let ifVersion { headers.append(("if-match", "\"\(ifVersion)\"")) }
        let path = try target.target(key, [("ttl", ttl), ("node", node)])
        let answer = try await target.client.request(
            .put, path, headers: headers, body: try ValueSource(value).bytes())
        try target.client.printWritten(answer, output.output ?? .raw) { $0.version }
    }
}

extension StoreClient {
    /// Prints what a write gave.
    func printWritten(
        _ answer: Answer, _ format: OutputFormat, raw: (WrittenDocument) -> String
    ) throws(CommandFailure) {
        if format == .json { return answer.printJSON() }
        let written = try decode(WrittenDocument.self, from: answer)
        if format == .raw { return Terminal.print(raw(written)) }
        var table = Table("key", "version", "acks", "required")
        table.add(written.key, written.version, String(written.acks), String(written.required))
        table.print()
    }
}
