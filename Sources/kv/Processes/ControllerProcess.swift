import KVBackends
import KVConfiguration
import KVController
import KVControllerHTTP
import KVHTTP
import KVProtocols
import KVStorage
import Logging
import NIOCore

/// The controller put together from its configuration.
struct ControllerProcess {
    let cluster: ClusterConfiguration
    let logger: Logger

    /// Works until the process is told to stop.
    /// - Throws: what a person must know when it can't start: `StorageError`, `HTTPServerError`.
    func run(stopOnEndOfInput: Bool) async throws {
        let configuration = cluster.controller
        let folder = try DataFolder(path: configuration.backend.path, backendType: configuration.backend.type)
        let backend = try BackendRegistry.open(
            type: configuration.backend.type,
            BackendContext(
                path: configuration.backend.path, partitions: cluster.partitions, options: configuration.backend.options
            ))
        try ServerProcess.requireDurable(backend, type: configuration.backend.type, in: cluster)
        let controller = try Controller(settings: settings, backend: backend, logger: logger)
        try await ServerProcess.withLoops(ServerProcess.httpThreads) { loops in
            try await ServerProcess.run(
                core: { await controller.run() }, http: makeServer(controller, loops), logger: logger,
                stopOnEndOfInput: stopOnEndOfInput)
        }
        try backend.close()
        folder.release()
        logger.notice("the controller stopped, its state is stored")
    }

    private func makeServer(_ controller: Controller, _ loops: any EventLoopGroup) -> ControllerHTTPServer {
        ControllerHTTPServer(
            service: controller, host: cluster.controller.listen.host, port: cluster.controller.listen.port,
            hosts: AcceptedHosts(cluster.acceptedHosts),
            maximumBodyLength: cluster.nodes.map(\.limits.maxBodyBytes).max() ?? 0, eventLoopGroup: loops,
            logger: logger,
            onBound: { [logger, configuration = cluster.controller] _ in
                logger.notice(
                    "the controller listens",
                    metadata: ["address": "\(configuration.listen)", "url": "\(configuration.publicURL)"])
            })
    }

    private var settings: ControllerSettings {
        ControllerSettings(
            cluster: cluster.name, partitions: cluster.partitions, policy: cluster.policy,
            nodes: cluster.nodes.map(\.name), heartbeatMilliseconds: cluster.heartbeat.milliseconds,
            failAfterMilliseconds: cluster.failAfter.milliseconds,
            replaceAfterMilliseconds: cluster.replaceAfter.milliseconds,
            bootstrapWaitMilliseconds: cluster.bootstrapWait.milliseconds)
    }
}
