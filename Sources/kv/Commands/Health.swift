import ArgumentParser

/// `kv health`
struct Health: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say whether one process can serve: exit code 0 or 1, for container health checks.")

    @OptionGroup var target: TargetOptions

    func run() async throws {
        let client = StoreClient(url: target.client.url, timeout: .seconds(2))
        let answer = try await client.send(.get, "/readyz")
        guard answer.status == 200 else {
            let reason = ProblemDocument(answer.body)?.summary ?? "status \(answer.status)"
            throw CommandFailure(.error, "not ready: \(reason)")
        }
        Terminal.print("ready")
    }
}
