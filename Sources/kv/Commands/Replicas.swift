import ArgumentParser

/// `kv replicas`
struct Replicas: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what each replica of a key holds, and whether they agree.")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    @Argument var key: String

    func run() async throws {
        let answer = try await target.client.request(.get, target.query("/replicas", [("key", key)]))
        if output.output == .json { return answer.printJSON() }
        let document = try target.client.decode(ReplicasDocument.self, from: answer)
        var table = Table("node", "role", "state", "agrees", "version", "size", "hash")
        for replica in document.replicas {
            table.add(
                replica.node, replica.role, replica.deleted == true ? "deleted" : replica.state,
                replica.agrees ? "yes" : "no", replica.version ?? "-", replica.size.map(String.init) ?? "-",
                replica.hash ?? "-")
        }
        table.print()
    }
}
