import ArgumentParser

/// `kv events`
struct Events: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what happened to the cluster, oldest first.")

    private static let interval = Duration.milliseconds(500)

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Go on with what happens from now on, until Ctrl-C.")
    var follow = false

    @Option(help: "How many past events at most.")
    var limit = 100

    func validate() throws {
        guard 1...1_000 ~= limit else { throw ValidationError("--limit takes 1 to 1000") }
    }

    func run() async throws {
        var after: UInt64?
        repeat {
            let path = target.query("/events", [("after", after.map { String($0) }), ("limit", String(limit))])
            let answer = try await target.client.request(.get, path)
            let events = try target.client.decode(EventsDocument.self, from: answer).events
            if output.output == .json {
                if after == nil || !events.isEmpty { answer.printJSON() }
            } else {
                for event in events {
                    Terminal.print(
                        "\(Terminal.printable(event.time)) \(event.severity) \(Terminal.printable(event.message))")
                }
            }
            after = events.last?.id ?? after ?? 0
            if follow { try await Task.sleep(for: Events.interval) }
        } while follow
    }
}
