import AsyncHTTPClient
import KVBackends
import KVConfiguration
import KVHTTP
import KVNode
import KVNodeHTTP
import KVProtocols
import KVStorage
import KVTransport
import Logging
import NIOCore
import NIOPosix

/// A node put together from its configuration.
struct NodeProcess {
    let cluster: ClusterConfiguration
    let configuration: NodeConfiguration
    let logger: Logger

    /// Works until the process is told to stop.
    /// - Throws: what a person must know when it can't start: `StorageError`, `HTTPServerError`, `PeerNetworkError`.
    func run(stopOnEndOfInput: Bool) async throws {
        try await BackendExchange(cluster: cluster, configuration: configuration, logger: logger).prepare()
        let folder = try DataFolder(path: configuration.backend.path, backendType: configuration.backend.type)
        let backend = try BackendRegistry.open(
            type: configuration.backend.type,
            BackendContext(
                path: configuration.backend.path, partitions: cluster.partitions, options: configuration.backend.options
            ))
        try ServerProcess.requireDurable(backend, type: configuration.backend.type, in: cluster)
        try await ServerProcess.withLoops(1) { engineLoop in
            guard Self.httpThreads > 0 else {
                return try await run(folder, backend, engineLoop.next(), engineLoop, stopOnEndOfInput)
            }
            try await ServerProcess.withLoops(Self.httpThreads) { httpLoops in
                try await run(folder, backend, engineLoop.next(), httpLoops, stopOnEndOfInput)
            }
        }
    }

    /// Event loops for HTTP alone. On few processors HTTP shares the loop of the engine and the peer links: then a
    /// request costs no change of thread, and what arrives together is worked on together. With many the parsing and
    /// writing for clients goes to loops of its own, which leaves the engine's to the engine.
    private static var httpThreads: Int {
        let processors = System.coreCount
        return processors < 8 ? 0 : min(processors / 4, 8)
    }

    private func run(
        _ folder: DataFolder, _ backend: any StorageBackend, _ engineLoop: any EventLoop,
        _ httpLoops: any EventLoopGroup, _ stopOnEndOfInput: Bool
    ) async throws {
        try await HTTPControllerLink.withClient(httpLoops) { client in
            let node = try makeNode(folder, backend, client, engineLoop)
            try await ServerProcess.run(
                core: { try await node.run() }, http: makeServer(node, httpLoops), logger: logger,
                stopOnEndOfInput: stopOnEndOfInput)
        }
    }

    private func makeNode(
        _ folder: DataFolder, _ backend: any StorageBackend, _ client: HTTPClient, _ loop: any EventLoop
    ) throws -> Node {
        try Node(
            settings: settings, folder: folder, backend: backend, storageSettings: storageSettings,
            controller: HTTPControllerLink(address: cluster.controller.advertise.description, client: client),
            loop: loop, logger: logger
        ) { identity, onEvent in
            PeerNetwork(
                identity: identity, listen: (configuration.peerListen.host, configuration.peerListen.port),
                group: loop, settings: PeerNetworkSettings(), logger: logger, onEvent: onEvent)
        }
    }

    private func makeServer(_ node: Node, _ loops: any EventLoopGroup) -> NodeHTTPServer {
        NodeHTTPServer(
            service: node, host: configuration.listen.host, port: configuration.listen.port,
            hosts: AcceptedHosts(cluster.acceptedHosts), maximumBodyLength: configuration.limits.maxBodyBytes,
            eventLoopGroup: loops, logger: logger,
            onBound: { [logger, configuration] _ in
                logger.notice(
                    "the node listens",
                    metadata: [
                        "kv.node": "\(configuration.name)", "address": "\(configuration.listen)",
                        "peers": "\(configuration.peerListen)", "backend": "\(configuration.backend.type)",
                    ])
            })
    }

    private var settings: NodeSettings {
        NodeSettings(
            name: configuration.name, clusterName: cluster.name, policy: cluster.policy,
            partitions: cluster.partitions, address: configuration.advertise.description,
            peerAddress: configuration.peerAdvertise.description, zone: configuration.zone,
            weight: configuration.weight,
            backend: configuration.backend.type, heartbeatMilliseconds: UInt64(cluster.heartbeat.milliseconds),
            maximumValueLength: configuration.limits.maxValueBytes,
            maximumOperations: configuration.limits.maxInflight, version: KVVersion.current)
    }

    private var storageSettings: NodeStorage.Settings {
        NodeStorage.Settings(
            seed: settings.digestSeed, segmentBytes: configuration.limits.journalSegmentBytes,
            overlayLimitBytes: configuration.limits.overlayBytes,
            scrubBytesPerSecond: configuration.limits.scrubBytesPerSecond,
            reserveBytes: configuration.limits.diskReserveBytes)
    }
}
