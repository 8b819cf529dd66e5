internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1

/// Sits behind the parser of a connection. Answers what the parser refuses, which never reaches a handler, with a
/// problem document and the end of the connection, tells clients that wait before they send a body to go on, and closes
/// connections on which nothing happens.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bodies announced to be longer are refused before they are sent.
    private static let longestBodyWorthAsking = 256 << 20

    private let common: ServerCommons
    private var answersOwed = 0
    private var isReceiving = false
    private var hasFailed = false
    /// When something last came or was answered.
    private var lastActivity = NIODeadline.now()
    private var idleCheck: Scheduled<Void>?

    init(_ common: ServerCommons) {
        self.common = common
    }

    func handlerAdded(context: ChannelHandlerContext) {
        checkIdle(after: TimeAmount(common.limits.idleTimeout), context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        idleCheck?.cancel()
    }

    /// A request that is being answered may take its time; one that does not arrive, or does not begin, may not.
    private func checkIdle(after wait: TimeAmount, _ context: ChannelHandlerContext) {
        let channel = context.channel
        idleCheck = context.eventLoop.assumeIsolated().scheduleTask(in: wait) { [weak self] in
            guard let self, channel.isActive else { return }
            let limit = TimeAmount(common.limits.idleTimeout)
            let idle = NIODeadline.now() - lastActivity
            if answersOwed > (isReceiving ? 1 : 0) {
                checkIdle(after: limit, context)
            } else if idle >= limit {
                channel.close(promise: nil)
            } else {
                checkIdle(after: limit - idle, context)
            }
        }
    }

    /// An answer has been written past this handler.
    func answered() {
        answersOwed -= 1
        lastActivity = .now()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastActivity = .now()
        switch unwrapInboundIn(data) {
        case .head(let head):
            answersOwed += 1
            isReceiving = true
            if answersOwed == 1, head.headers.first(name: "expect")?.lowercased() == "100-continue",
                (head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0)
                    <= ConnectionGuard.longestBodyWorthAsking
            {
                let head = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        case .body: break
        case .end: isReceiving = false
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { answered() }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !hasFailed else { return }
        hasFailed = true
        guard let error = error as? HTTPParserError, error != .invalidEOFState, answersOwed == 0 else {
            context.close(promise: nil)
            return
        }
        let problem =
            error == .headerOverflow
            ? Problem(
                .requestHeaderFieldsTooLarge, "headers_too_large", "the header fields are too many or too long")
            : Problem(.badRequest, "malformed_request", "this is not a well-formed HTTP/1.1 request")
        send(problem, context)
    }

    private func send(_ problem: Problem, _ context: ChannelHandlerContext) {
        let id = common.requestIDs.make()
        var json = JSONWriter()
        json.beginObject()
        problem.write(to: &json, requestID: id)
        json.endObject()
        let body = json.finish()
        var headers = HTTPHeaders(HTTPField.security.map { ($0.name.rawName, $0.value) })
        headers.add(name: HTTPField.problemJSON.name.rawName, value: HTTPField.problemJSON.value)
        headers.add(name: "Content-Length", value: String(body.readableBytes))
        headers.add(name: "X-Request-Id", value: id)
        headers.add(name: "Connection", value: "close")
        let status = HTTPResponseStatus(statusCode: problem.status.code)
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }
}
