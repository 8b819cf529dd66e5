internal import Hummingbird
public import KVHTTP
public import KVNode
public import Logging
public import NIOCore
public import ServiceLifecycle

/// The HTTP interface of one node: keys, lists, batches, replicas, health, metrics.
///
/// HTTP/1.1 only. Keeps no state beyond metrics; everything is asked of the service.
public struct NodeHTTPServer: Service {
    private let server: HTTPServer

    /// - Parameters:
    ///   - port: 0 takes any free port.
    ///   - hosts: the names by which clients may call this server.
    ///   - maximumBodyLength: of a request, in bytes; longer ones are answered with 413. Twice the longest value and
    ///     1 MiB more unless given.
    ///   - usesShortcut: `false` sends every request the general way; answers are the same, for more processor time.
    ///   - onBound: called once with the port, when the server listens and before it answers.
    public init(
        service: any NodeService, host: String, port: Int, limits: HTTPServerLimits = HTTPServerLimits(),
        hosts: AcceptedHosts = AcceptedHosts(), maximumBodyLength: Int? = nil, usesShortcut: Bool = true,
        eventLoopGroup: any EventLoopGroup, logger: Logger, onBound: @escaping @Sendable (Int) async -> Void = { _ in }
    ) {
        let metrics = RequestMetrics(routes: NodeRoute.allCases.map(\.rawValue))
        let handler = NodeHandler(service: service, maximumBodyLength: maximumBodyLength, metrics: metrics)
        let shortcut = KeyShortcut(service: service, bounds: handler.bounds)
        server = HTTPServer(
            host: host, port: port, limits: limits, hosts: hosts, handler: handler,
            shortcut: usesShortcut ? shortcut : nil, metrics: metrics, eventLoopGroup: eventLoopGroup, logger: logger,
            onBound: onBound)
    }

    /// Serves until graceful shutdown, which finishes the requests in progress, or until cancelled.
    /// - Throws: `HTTPServerError` when the address can't be listened on.
    public func run() async throws {
        try await server.run()
    }
}

/// The classes of requests in metrics.
enum NodeRoute: String, CaseIterable {
    case kv, keys, batch, replicas, other

    var index: Int {
        switch self {
        case .kv: 0
        case .keys: 1
        case .batch: 2
        case .replicas: 3
        case .other: 4
        }
    }
}
