import ArgumentParser

/// `kv del`
struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "del", abstract: "Delete a key.", discussion: "A key without a value is deleted already: no error."
    )

    @OptionGroup var target: TargetOptions

    @Option(help: ArgumentHelp("Only if this is the key's version.", valueName: "version"))
    var ifVersion: String?

    @Option(help: "Send it to this node.")
    var node: String?

    @Argument var key: String

    func run() async throws {
        let headers = ifVersion.map { [("if-match", "\"\($0)\"")] } ?? []
        _ = try await target.client.request(.delete, try target.target(key, [("node", node)]), headers: headers)
    }
}
