internal import AsyncHTTPClient
internal import Hummingbird
public import KVHTTP
public import Logging
public import NIOCore
public import ServiceLifecycle

/// The HTTP interface of the controller: the state of the cluster, operations on nodes, heartbeats, the web page, and
/// clients' requests passed on to nodes.
///
/// HTTP/1.1 only.
public struct ControllerHTTPServer: Service {
    private let service: any ControllerService
    private let host: String
    private let port: Int
    private let limits: HTTPServerLimits
    private let hosts: AcceptedHosts
    private let maximumBodyLength: Int
    private let eventLoopGroup: any EventLoopGroup
    private let logger: Logger
    private let onBound: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - port: 0 takes any free port.
    ///   - hosts: the names by which clients may call this server.
    ///   - maximumBodyLength: of a request that is passed on, in bytes; it is held in memory so that it can be sent to
    ///     another node when the first can't be reached. Nodes have their own, exact limits.
    ///   - onBound: called once with the port, when the server listens and before it answers.
    public init(
        service: any ControllerService, host: String, port: Int, limits: HTTPServerLimits = HTTPServerLimits(),
        hosts: AcceptedHosts = AcceptedHosts(), maximumBodyLength: Int = 8 << 20, eventLoopGroup: any EventLoopGroup,
        logger: Logger, onBound: @escaping @Sendable (Int) async -> Void = { _ in }
    ) {
        self.service = service
        self.host = host
        self.port = port
        self.limits = limits
        self.hosts = hosts
        self.maximumBodyLength = maximumBodyLength
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        self.onBound = onBound
    }

    /// Serves until graceful shutdown, which finishes the requests in progress and ends event streams, or until
    /// cancelled.
    /// - Throws: `HTTPServerError` when the address can't be listened on.
    public func run() async throws {
        let client = PassThrough.makeClient(eventLoopGroup)
        let metrics = RequestMetrics(routes: ControllerRoute.allCases.map(\.rawValue))
        let passThrough = PassThrough(service: service, client: client, maximumBodyLength: maximumBodyLength)
        let server = HTTPServer(
            host: host, port: port, limits: limits, hosts: hosts,
            handler: ControllerHandler(service: service, passThrough: passThrough, metrics: metrics), metrics: metrics,
            eventLoopGroup: eventLoopGroup, logger: logger, onBound: onBound)
        do {
            try await server.run()
        } catch {
            try await client.shutdown()
            throw error
        }
        try await client.shutdown()
    }
}

/// The classes of requests in metrics.
enum ControllerRoute: String, CaseIterable {
    case forwarded, heartbeat, state, streams, page, other

    init(_ path: Substring) {
        if path.hasPrefix("/kv/") || path.hasPrefix("/nodes/") {
            self = path.hasPrefix("/kv/") ? .forwarded : .state
            return
        }
        switch path {
        case "/keys", "/batch", "/replicas": self = .forwarded
        case "/internal/heartbeat": self = .heartbeat
        case "/health", "/map", "/nodes", "/partitions", "/alarm/acknowledge": self = .state
        case "/events", "/stream": self = .streams
        case "/": self = .page
        default: self = .other
        }
    }

    var index: Int {
        switch self {
        case .forwarded: 0
        case .heartbeat: 1
        case .state: 2
        case .streams: 3
        case .page: 4
        case .other: 5
        }
    }
}
