internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1

/// Sits behind the parser of a connection. Answers what the parser refuses, which never reaches a handler, with a
/// problem document and the end of the connection, and tells clients that wait before they send a body to go on.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bodies announced to be longer are refused before they are sent.
    private static let longestBodyWorthAsking = 256 << 20

    private let requestIDs: RequestIDs
    private var answersOwed = 0
    private var hasFailed = false

    init(_ requestIDs: RequestIDs) {
        self.requestIDs = requestIDs
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data) {
            answersOwed += 1
            if answersOwed == 1, head.headers.first(name: "expect")?.lowercased() == "100-continue",
                (head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0)
                    <= ConnectionGuard.longestBodyWorthAsking
            {
                let head = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { answersOwed -= 1 }
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
        let id = requestIDs.make()
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
