import ArgumentParser

/// `kv get`
struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the value of a key.")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Ask this node.")
    var node: String?

    @Flag(help: "Print what the node itself holds, which may be old; needs --node at the controller.")
    var local = false

    @Argument var key: String

    func run() async throws {
        let path = try target.target(key, [("node", node), ("consistency", local ? "local" : nil)])
        let format = output.output ?? .raw
        let accept = format == .json ? "application/json" : "application/octet-stream"
        let answer = try await target.client.request(.get, path, headers: [("accept", accept)])
        switch format {
        case .json: answer.printJSON()
        case .raw:
            Terminal.write(answer.body)
            // For the prompt that follows; a pipe gets the value and nothing else.
            if Terminal.Stream.output.isTerminal { Terminal.print("") }
        case .table:
            var table = Table("key", "value", "version", "served by", "leader")
            table.add(
                key, String(decoding: answer.body, as: UTF8.self),
                answer.header("etag").split(separator: "\"").joined(),
                answer.header("kv-served-by"), answer.header("kv-leader"))
            table.print()
        }
    }
}
