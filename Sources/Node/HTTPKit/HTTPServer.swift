internal import HTTPTypes
package import Hummingbird
internal import HummingbirdCore
package import Logging
package import NIOCore
internal import ServiceLifecycle

/// What one kind of process answers.
package protocol HTTPHandler: Sendable {
    /// Answers one request. What is thrown becomes a problem document: a `Problem` as it says, anything else 500.
    func handle(_ exchange: Exchange) async throws -> Response

    /// The class of a request for the metrics: an index into the labels given to `HTTPServer`.
    func route(of path: Substring) -> Int
}

/// The HTTP/1.1 server under both kinds of process: one handler behind request names, origin checks, limits, problem
/// documents and security fields. Built on Hummingbird's server without its router, which would normalise paths that
/// are keys here.
package struct HTTPServer: Service {
    private let host: String
    private let port: Int
    private let handler: any HTTPHandler
    private let shortcut: (any RequestShortcut)?
    private let common: ServerCommons
    private let eventLoopGroup: any EventLoopGroup
    private let logger: Logger
    private let onBound: @Sendable (Int) async -> Void

    /// `port` 0 takes any free one; `onBound` is told which before the first request is answered. `shortcut` is asked
    /// before `handler` is. `hosts` are the names by which clients may call this server.
    package init(
        host: String, port: Int, limits: HTTPServerLimits, hosts: AcceptedHosts = AcceptedHosts(),
        handler: any HTTPHandler, shortcut: (any RequestShortcut)? = nil, metrics: RequestMetrics,
        eventLoopGroup: any EventLoopGroup, logger: Logger, onBound: @escaping @Sendable (Int) async -> Void
    ) {
        self.host = host
        self.port = port
        self.handler = handler
        self.shortcut = shortcut
        common = ServerCommons(limits: limits, hosts: hosts, metrics: metrics)
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        self.onBound = onBound
    }

    /// Serves until graceful shutdown (requests in progress are finished) or cancellation.
    /// - Throws: `HTTPServerError` when the address can't be listened on.
    package func run() async throws {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .notice)
        let builder = HTTPServerBuilder { responder in
            ConnectionChannel(
                base: HTTP1Channel(responder: responder, configuration: channelConfiguration), common: common,
                shortcut: shortcut)
        }
        let service = try builder.buildServer(
            configuration: ServerConfiguration(
                address: .hostname(host, port: port), backlog: 1_024,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    common.limits.maximumConnections, logger: quiet)),
            eventLoopGroup: eventLoopGroup, logger: quiet,
            responder: { request, writer, _ in try await answer(request, writer) },
            onServerRunning: { channel in await onBound(channel.localAddress?.port ?? port) })
        do {
            try await service.run()
        } catch let error as IOError {
            throw HTTPServerError(host: host, port: port, errno: error.errnoCode)
        }
    }

    private var channelConfiguration: HTTP1Channel.Configuration {
        let limits = common.limits
        return HTTP1Channel.Configuration(
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: limits.maximumHeaderFieldLength, maxHeaderListSize: limits.maximumHeadersLength,
                maxHeaderFieldCount: limits.maximumHeaderCount))
    }

    private func answer(_ request: Request, _ writer: consuming ResponseWriter) async throws {
        let started = NIODeadline.now()
        let given = request.head.headerFields[.requestID]
        let id = given.flatMap { RequestIDs.isValid($0) ? $0 : nil } ?? common.requestIDs.make()
        let exchange = Exchange(request, id: id, limits: common.limits)
        var response = await respond(exchange)
        common.complete(&response.headers, requestID: id)
        // The rest of a body that is too long or too slow is not waited for.
        let ends = exchange.body.hasMore && (response.status == .contentTooLarge || response.status == .requestTimeout)
        if ends { response.headers.append(.connectionClose) }
        if request.head.method == .head || response.status == .notModified || response.status == .noContent {
            try await writer.write(response: response.head, body: ResponseBody())
        } else {
            try await writer.write(response: response.head, body: response.body)
        }
        common.metrics.count(
            route: handler.route(of: exchange.path), status: response.status.code,
            microseconds: UInt64((NIODeadline.now() - started).nanoseconds / 1_000))
        if exchange.body.hasMore {
            let isReusable = try await exchange.body.discardRest()
            if ends || !isReusable { throw ConnectionEnd() }
        }
    }

    private func respond(_ exchange: Exchange) async -> Response {
        do {
            try OriginGuard.check(exchange, common.hosts)
            return try await handler.handle(exchange)
        } catch let problem as Problem {
            return problem.response(requestID: exchange.id)
        } catch {
            logger.warning(
                "a request failed", metadata: ["kv.request": "\(exchange.id)", "error": "\(error)"])
            return Problem(.internalServerError, "internal", "an unexpected error; the log names it by request id")
                .response(requestID: exchange.id)
        }
    }
}

/// Thrown after an answer to close its connection.
private struct ConnectionEnd: Error {}
