import ArgumentParser

/// `kv incr`
struct Increment: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "incr", abstract: "Add to a number and print the sum.",
        discussion: "A key without a value counts as 0. A negative amount goes behind --: kv incr -- stock -1")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    @Argument var key: String
    @Argument(help: "How much.") var by: Int64 = 1

    func run() async throws {
        let answer = try await target.client.request(
            .post, try target.target(key, suffix: "/increment"), headers: [("content-type", "application/json")],
            body: Array("{\"by\":\(by)}".utf8))
        try target.client.printWritten(answer, output.output ?? .raw) { $0.value ?? "" }
    }
}
