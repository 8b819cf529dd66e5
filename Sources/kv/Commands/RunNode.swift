import ArgumentParser
import KVConfiguration

/// `kv node`
struct RunNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Run one node in the foreground.",
        discussion: "SIGTERM or Ctrl-C stops it cleanly: what runs is answered, what is in memory goes to the backend.")

    @OptionGroup var server: ServerOptions

    @Option(help: "Which node of the configuration this is; else KV_NODE_NAME.")
    var name: String?

    @Option(help: ArgumentHelp("Where to listen for clients.", valueName: "host:port"))
    var listen: String?

    @Option(help: ArgumentHelp("Where to listen for other nodes.", valueName: "host:port"))
    var peerListen: String?

    @Option(help: ArgumentHelp("The data folder.", valueName: "folder"), completion: .directory)
    var data: String?

    func run() async throws {
        var overrides = server.overrides()
        if let name { overrides.node = name }
        if let listen { overrides.set(.nodeListen, to: listen, flag: "--listen") }
        if let peerListen { overrides.set(.nodePeerListen, to: peerListen, flag: "--peer-listen") }
        if let data { overrides.set(.nodeData, to: data, flag: "--data") }
        let cluster = try server.configuration.load(overrides)
        let names = cluster.nodes.map(\.name).joined(separator: ", ")
        guard let name = overrides.node ?? (cluster.nodes.count == 1 ? cluster.nodes[0].name : nil) else {
            throw CommandFailure(.error, "which node is this? Say --name or KV_NODE_NAME, one of: \(names)")
        }
        guard let node = cluster.node(named: name) else {
            throw CommandFailure(.error, "the configuration has no node '\(name)'; it has: \(names)")
        }
        ProcessLimits.prepare()
        try await NodeProcess(cluster: cluster, configuration: node, logger: ProcessLog.logger(node.log))
            .run(stopOnEndOfInput: server.stopOnEndOfInput)
    }
}
