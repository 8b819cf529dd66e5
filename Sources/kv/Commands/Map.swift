import ArgumentParser

/// `kv map`
struct Map: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show which nodes hold a key, or every partition.")

    @OptionGroup var target: TargetOptions
    @OptionGroup var output: OutputOptions

    @Argument var key: String?

    func run() async throws {
        let answer = try await target.client.request(.get, target.query("/map", [("key", key)]))
        if output.output == .json { return answer.printJSON() }
        if key != nil {
            let map = try target.client.decode(KeyMapDocument.self, from: answer)
            Terminal.print(
                "slot \(map.slot), partition \(map.partition), epoch \(map.epoch), leader \(map.leader ?? "none")")
            var table = Table("node", "address", "role")
            for name in map.replicas {
                let role = name == map.leader ? "leader" : name == map.primary ? "preferred leader" : "member"
                table.add(name, map.addresses[name] ?? "-", role)
            }
            return table.print()
        }
        let map = try target.client.decode(MapDocument.self, from: answer)
        var table = Table("partition", "epoch", "leader", "members", "moving from")
        for partition in map.partitions {
            table.add(
                String(partition.partition), String(partition.epoch), partition.leader ?? "none",
                partition.members.joined(separator: " "), partition.previous?.joined(separator: " ") ?? "")
        }
        table.print()
    }
}
