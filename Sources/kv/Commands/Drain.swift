import ArgumentParser

/// `kv drain`
struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Move everything away from a node, which keeps running.",
        discussion: "Returns when the controller has stored the intention; `kv nodes` shows the progress.")

    @OptionGroup var target: TargetOptions
    @Argument(help: "The node's name.") var name: String

    func run() async throws {
        _ = try await target.client.request(.post, "/nodes/\(name.percentEncoded)/drain")
        Terminal.say("\(name) is being drained; `kv nodes` shows how many replicas it still holds")
    }
}

/// `kv undrain`
struct Undrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Let a drained node hold data again.")

    @OptionGroup var target: TargetOptions
    @Argument(help: "The node's name.") var name: String

    func run() async throws {
        _ = try await target.client.request(.post, "/nodes/\(name.percentEncoded)/undrain")
        Terminal.say("\(name) takes part again")
    }
}
