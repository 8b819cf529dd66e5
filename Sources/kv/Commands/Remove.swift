import ArgumentParser

/// `kv remove`
struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a node leave the cluster for good, once its replicas are elsewhere.",
        discussion: """
            Returns when the controller has stored the intention; `kv moves` shows the progress. A node that is down is \
            not waited for. Its data folder cannot join again, an emptied one can. `kv undrain` changes your mind while \
            the node still holds something.
            """)

    @OptionGroup var target: TargetOptions
    @Argument(help: "The node's name.") var name: String

    func run() async throws {
        _ = try await target.client.request(.delete, "/nodes/\(name.percentEncoded)")
        Terminal.say("\(name) leaves the cluster once its replicas are elsewhere; `kv moves` shows how far that is")
    }
}
