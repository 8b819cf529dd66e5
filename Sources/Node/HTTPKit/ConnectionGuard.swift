internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1

/// Sits behind the parser of a connection. Answers what the parser refuses, which never reaches a handler, with a
/// problem document and the end of the connection, tells clients that wait before they send a body to go on, lets what
/// was written leave before the connection ends, and closes connections on which nothing happens.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bodies announced to be longer are refused before they are sent.
    private static let longestBodyWorthAsking = 256 << 20
    /// How long a connection that shall end waits for a client that takes nothing: a process that stops waits for it.
    private static let endingTimeout = Duration.seconds(5)

    private let common: ServerCommons
    private var context: ChannelHandlerContext?
    /// Whole answers leave as bytes, past the encoder.
    private var encoder: ChannelHandlerContext?
    /// Requests that began to arrive and whose answers are not completely written.
    private var answersOwed = 0
    private var isReceiving = false
    /// Given once the answers to what came before are written; nothing after it is read.
    private var refusal: Problem?
    private var isRefused = false
    /// The connection ends as soon as what was written has left; nothing is read any more.
    private(set) var isEnding = false
    /// When something last came, was answered, or was taken by the client.
    private var lastActivity = NIODeadline.now()
    /// Bytes written that the system had not taken when this was last looked at.
    private var unsent = 0
    private var idleCheck: Scheduled<Void>?

    init(_ common: ServerCommons, encoder: ChannelHandlerContext) {
        self.common = common
        self.encoder = encoder
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        checkIdle(after: idleLimit)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        idleCheck?.cancel()
        self.context = nil
        encoder = nil
    }

    // MARK: - Time

    private var idleLimit: TimeAmount {
        let limit = common.limits.idleTimeout
        return TimeAmount(isEnding ? min(limit, ConnectionGuard.endingTimeout) : limit)
    }

    private func checkIdle(after wait: TimeAmount) {
        idleCheck?.cancel()
        idleCheck = context?.eventLoop.assumeIsolated().scheduleTask(in: wait) { [weak self] in self?.checkIdle() }
    }

    /// A request that is being answered may take its time; one that does not arrive, or does not begin, may not, and
    /// neither may a client that takes nothing of its answer. One that takes it slowly may.
    private func checkIdle() {
        guard let context, context.channel.isActive else { return }
        let limit = idleLimit
        let before = unsent
        unsent = unsentBytes(context)
        if unsent != before { lastActivity = .now() }
        let idle = NIODeadline.now() - lastActivity
        if unsent == 0, !isEnding, answersOwed > (isReceiving ? 1 : 0) {
            checkIdle(after: limit)
        } else if idle >= limit {
            tellOfCutOff(context)
            context.close(promise: nil)
        } else {
            checkIdle(after: limit - idle)
        }
    }

    private func unsentBytes(_ context: ChannelHandlerContext) -> Int {
        do {
            return try context.channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0
        } catch {
            return 0  // a closed channel has nothing to send
        }
    }

    // MARK: - Coming in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnding, refusal == nil else { return }
        lastActivity = .now()
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard head.namesItsHost else { return refuse(.malformedRequest) }
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

    /// Whether every request has its answer, and none is refused.
    var owesNothing: Bool { answersOwed == 0 && refusal == nil }

    /// A request arrived whole that the parser does not see; `send` answers it.
    func requestCame() {
        answersOwed += 1
        lastActivity = .now()
    }

    /// A part of such a request arrived.
    func somethingCame() {
        lastActivity = .now()
    }

    /// Whoever reads the body of a request must not take the connection's end for the body's.
    private func tellOfCutOff(_ context: ChannelHandlerContext) {
        guard isReceiving else { return }
        isReceiving = false
        context.fireErrorCaught(RequestCutOff())
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { tellOfCutOff(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        tellOfCutOff(context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isEnding, refusal == nil else { return }
        guard let error = error as? HTTPParserError, error != .invalidEOFState, !isReceiving else {
            // What arrived as a whole before the client's end is still answered.
            let isOwedMore = answersOwed > (isReceiving ? 1 : 0)
            tellOfCutOff(context)
            if !isOwedMore || !(error is HTTPParserError) { close(context: context, mode: .all, promise: nil) }
            return
        }
        refuse(error == .headerOverflow ? .headersTooLarge : .malformedRequest)
    }

    private func refuse(_ problem: Problem) {
        refusal = problem
        if answersOwed == 0 { sendRefusal() }
    }

    private func sendRefusal() {
        guard let problem = refusal, !isRefused, !isEnding else { return }
        isRefused = true
        let id = common.requestIDs.make()
        send(problem.document(requestID: id), requestID: id, ends: true)
    }

    // MARK: - Going out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        lastActivity = .now()
        guard case .end = unwrapOutboundIn(data) else { return context.write(data, promise: promise) }
        context.write(data, promise: promise)
        answered()
    }

    /// Writes a whole answer, and ends the connection after it if `ends`.
    func send(_ document: Document, requestID: String, isHead: Bool = false, ends: Bool) {
        guard let context, let encoder else { return }
        let bytes = common.bytes(of: document, requestID: requestID, isHead: isHead, ends: ends)
        encoder.writeAndFlush(NIOAny(bytes), promise: nil)
        lastActivity = .now()
        answered()
        if ends { close(context: context, mode: .all, promise: nil) }
    }

    private func answered() {
        answersOwed = max(0, answersOwed - 1)
        if answersOwed == 0, refusal != nil { sendRefusal() }
    }

    /// Ends the connection, or its way out, when everything that was written has left, or the client takes nothing of it
    /// any more: whoever answers and closes may do both at once.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .all { isEnding = true }
        guard mode != .input, let encoder, unsentBytes(context) > 0 else {
            return context.close(mode: mode, promise: promise)
        }
        // Nothing, written last, has left when all before it has.
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in context.close(mode: mode, promise: promise) }
        encoder.writeAndFlush(NIOAny(ByteBuffer()), promise: written)
        checkIdle(after: idleLimit)
    }
}

/// The connection ended, or broke, amid a request.
private struct RequestCutOff: Error {}

extension HTTPRequestHead {
    /// Whether there is one `Host`, which only HTTP/1.0 may leave out.
    fileprivate var namesItsHost: Bool {
        var count = 0
        for (name, _) in headers where name.isField("host") { count += 1 }
        return count == 1 || (count == 0 && version.major == 1 && version.minor == 0)
    }
}

extension Problem {
    fileprivate static let malformedRequest = Problem(
        .badRequest, "malformed_request", "this is not a well-formed HTTP/1.1 request")
    fileprivate static let headersTooLarge = Problem(
        .requestHeaderFieldsTooLarge, "headers_too_large", "the header fields are too many or too long")
}
