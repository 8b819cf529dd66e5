internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1

/// The part of a connection that asks a `RequestShortcut` before Hummingbird hears of a request. One request at a time:
/// what a client sends before it has its answer waits here, and stops the reading from the socket.
final class ShortcutHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// What comes is not ours, or the head of a new request.
        case open
        case receiving(PlainHead)
        case answering(PlainHead)
    }

    private let shortcut: any RequestShortcut
    private let connection: ConnectionGuard
    private let common: ServerCommons
    private var state = State.open
    private var body = ByteBuffer()
    private var started = NIODeadline.now()
    private var waiting = CircularBuffer<HTTPServerRequestPart>()
    private var isTakingWaiting = false
    private var isReadHeld = false
    private var endsWhenAnswered = false
    /// Requests that the general path has and has not answered: as long as there are any, it gets the next ones too.
    private var passedOn = 0
    private var context: ChannelHandlerContext?
    /// Answers leave as bytes, past the encoder.
    private var encoder: ChannelHandlerContext?

    init(_ shortcut: any RequestShortcut, connection: ConnectionGuard, common: ServerCommons) {
        self.shortcut = shortcut
        self.connection = connection
        self.common = common
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        encoder = nil
    }

    // MARK: - Coming in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .answering = state {
            waiting.append(unwrapInboundIn(data))
        } else {
            let part = unwrapInboundIn(data)
            if !take(part, context) { passOn(part, context) }
        }
    }

    private func passOn(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        if case .head = part { passedOn += 1 }
        context.fireChannelRead(wrapInboundOut(part))
    }

    /// `false` for what is not ours.
    private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) -> Bool {
        switch (part, state) {
        case (.head(let head), .open):
            guard passedOn == 0, !endsWhenAnswered, let plain = PlainHead(head),
                plain.contentLength <= shortcut.maximumBodyLength, shortcut.takes(plain)
            else { return false }
            started = .now()
            state = .receiving(plain)
        case (.body(var part), .receiving(let head)):
            if body.readableBytes == 0 { body = part } else { body.writeBuffer(&part) }
            if NIODeadline.now() - started > TimeAmount(common.limits.bodyTimeout) { refuseSlowBody(head) }
        case (.end, .receiving(let head)):
            answer(head, context)
        default: return false
        }
        return true
    }

    private func answer(_ head: PlainHead, _ context: ChannelHandlerContext) {
        state = .answering(head)
        if head.ends { endsWhenAnswered = true }
        let id = head.requestID ?? common.requestIDs.make()
        let content = body
        body = ByteBuffer()
        let loop = context.eventLoop
        let handler = NIOLoopBound(self, eventLoop: loop)
        shortcut.answer(head, body: content, requestID: id) { document in
            if loop.inEventLoop {
                handler.value.finish(document, id)
            } else {
                loop.execute { handler.value.finish(document, id) }
            }
        }
    }

    private func refuseSlowBody(_ head: PlainHead) {
        state = .answering(head)
        body = ByteBuffer()
        endsWhenAnswered = true
        let id = head.requestID ?? common.requestIDs.make()
        finish(Problem.bodyTooSlow.document(requestID: id), id)
    }

    func read(context: ChannelHandlerContext) {
        if waiting.isEmpty { context.read() } else { isReadHeld = true }
    }

    // MARK: - Going out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { passedOn -= 1 }
        context.write(data, promise: promise)
    }

    private func finish(_ document: Document, _ id: String) {
        guard case .answering(let head) = state, let context, context.channel.isActive else { return }
        state = .open
        let bytes = common.bytes(
            of: document, requestID: id, isHead: head.method == .head, ends: endsWhenAnswered,
            allocator: context.channel.allocator)
        let encoder = encoder ?? findEncoder(context)
        encoder.writeAndFlush(NIOAny(bytes), promise: nil)
        connection.answered()
        common.metrics.count(
            route: shortcut.route, status: document.status.code,
            microseconds: UInt64((NIODeadline.now() - started).nanoseconds / 1_000))
        if endsWhenAnswered {
            context.close(promise: nil)
        } else {
            takeWaiting(context)
        }
    }

    private func findEncoder(_ context: ChannelHandlerContext) -> ChannelHandlerContext {
        do {
            let found = try context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
            encoder = found
            return found
        } catch {
            preconditionFailure("an HTTP connection has an encoder")
        }
    }

    /// Goes on with what came meanwhile; in a loop, as answers may come at once.
    private func takeWaiting(_ context: ChannelHandlerContext) {
        guard !isTakingWaiting, !waiting.isEmpty else { return }
        isTakingWaiting = true
        var isPassedOn = false
        while let part = waiting.first {
            if case .answering = state { break }
            waiting.removeFirst()
            if !take(part, context) {
                passOn(part, context)
                isPassedOn = true
            }
        }
        isTakingWaiting = false
        if isPassedOn { context.fireChannelReadComplete() }
        if waiting.isEmpty, isReadHeld {
            isReadHeld = false
            context.read()
        }
    }

    // MARK: - The end

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            if case .open = state {
            } else {
                endsWhenAnswered = true
                return
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        waiting.removeAll()
        state = .open
        context.fireChannelInactive()
    }
}
