import ArgumentParser
import KVHTTP

/// `kv version`
struct Version: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the version of this program.")

    func run() async throws {
        Terminal.print(KVVersion.current)
    }
}

/// `kv completion`
struct Completion: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a completion script for a shell.", discussion: "For example: source <(kv completion bash)")

    @Argument(help: "bash, zsh or fish.") var shell: String

    func run() async throws {
        let shells: [String: CompletionShell] = ["bash": .bash, "zsh": .zsh, "fish": .fish]
        guard let known = shells[shell] else { throw ValidationError("there are scripts for bash, zsh and fish") }
        Terminal.print(KV.completionScript(for: known))
    }
}
