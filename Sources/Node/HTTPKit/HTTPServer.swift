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
    private let limits: HTTPServerLimits
    private let handler: any HTTPHandler
    private let metrics: RequestMetrics
    private let eventLoopGroup: any EventLoopGroup
    private let logger: Logger
    private let onBound: @Sendable (Int) async -> Void
    private let requestIDs = RequestIDs()
    private let dates = DateField()

    /// `port` 0 takes any free one; `onBound` is told which before the first request is answered.
    package init(
        host: String, port: Int, limits: HTTPServerLimits, handler: any HTTPHandler, metrics: RequestMetrics,
        eventLoopGroup: any EventLoopGroup, logger: Logger, onBound: @escaping @Sendable (Int) async -> Void
    ) {
        self.host = host
        self.port = port
        self.limits = limits
        self.handler = handler
        self.metrics = metrics
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
                base: HTTP1Channel(responder: responder, configuration: channelConfiguration), requestIDs: requestIDs)
        }
        let service = try builder.buildServer(
            configuration: ServerConfiguration(
                address: .hostname(host, port: port), backlog: 1_024,
                availableConnectionsDelegate: MaximumAvailableConnections(limits.maximumConnections, logger: quiet)),
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
        HTTP1Channel.Configuration(
            idleTimeout: TimeAmount(limits.idleTimeout),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: limits.maximumHeaderFieldLength, maxHeaderListSize: limits.maximumHeadersLength,
                maxHeaderFieldCount: limits.maximumHeaderCount))
    }

    private func answer(_ request: Request, _ writer: consuming ResponseWriter) async throws {
        let started = ContinuousClock.now
        let given = request.head.headerFields[.requestID]
        let id = given.flatMap { RequestIDs.isValid($0) ? $0 : nil } ?? requestIDs.make()
        let exchange = Exchange(request, id: id, limits: limits)
        var response = await respond(exchange)
        response.headers.append(contentsOf: HTTPField.security)
        response.headers.append(HTTPField(name: .date, value: dates.value))
        response.headers.append(HTTPField(name: .requestID, value: id))
        // The rest of a body that is too long or too slow is not waited for.
        let ends = exchange.body.hasMore && (response.status == .contentTooLarge || response.status == .requestTimeout)
        if ends { response.headers.append(.connectionClose) }
        if request.head.method == .head || response.status == .notModified || response.status == .noContent {
            try await writer.write(response: response.head, body: ResponseBody())
        } else {
            try await writer.write(response: response.head, body: response.body)
        }
        metrics.count(
            route: handler.route(of: exchange.path), status: response.status.code,
            duration: ContinuousClock.now - started)
        if exchange.body.hasMore {
            let isReusable = try await exchange.body.discardRest()
            if ends || !isReusable { throw ConnectionEnd() }
        }
    }

    private func respond(_ exchange: Exchange) async -> Response {
        do {
            try OriginGuard.check(exchange)
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
