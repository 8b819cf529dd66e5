import ArgumentParser
import KVConfiguration

/// `kv controller`
struct RunController: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "controller", abstract: "Run the controller in the foreground.",
        discussion: "SIGTERM or Ctrl-C stops it cleanly.")

    @OptionGroup var server: ServerOptions

    @Option(help: ArgumentHelp("Where to listen.", valueName: "host:port"))
    var listen: String?

    @Option(help: ArgumentHelp("The data folder.", valueName: "folder"), completion: .directory)
    var data: String?

    func run() async throws {
        var overrides = server.overrides()
        if let listen { overrides.set(.controllerListen, to: listen, flag: "--listen") }
        if let data { overrides.set(.controllerData, to: data, flag: "--data") }
        let cluster = try server.configuration.load(overrides)
        ProcessLimits.prepare()
        try await ControllerProcess(cluster: cluster, logger: ProcessLog.logger(cluster.controller.log))
            .run(stopOnEndOfInput: server.stopOnEndOfInput)
    }
}
