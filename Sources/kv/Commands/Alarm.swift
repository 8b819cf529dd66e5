import ArgumentParser

/// `kv alarm`
struct Alarm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Acknowledge the alarm about nodes that were lost at once.",
        discussion: """
            While half of the nodes or more are lost at once, nothing is moved: they may come back in a moment. \
            `kv alarm acknowledge` says that they will not, and their replicas are replaced as far as partitions have a \
            quorum left.
            """, subcommands: [AcknowledgeAlarm.self])
}

/// `kv alarm acknowledge`
struct AcknowledgeAlarm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acknowledge", abstract: "The lost nodes don't come back soon: replace their replicas.",
        aliases: ["ack"])

    @OptionGroup var target: TargetOptions

    struct Document: Decodable {
        var acknowledged: [String]
    }

    func run() async throws {
        let answer = try await target.client.request(.post, "/alarm/acknowledge")
        let names = try target.client.decode(Document.self, from: answer).acknowledged
        Terminal.say(
            "the replicas of \(names.map { Terminal.printable($0) }.joined(separator: ", ")) are replaced; "
                + "`kv moves` shows the progress")
    }
}
