internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1

/// The part of a connection that asks a `RequestShortcut` before Hummingbird hears of a request. One request at a time:
/// what a client sends before it has its answer, or without taking those that it has, waits here, and stops the reading
/// from the socket.
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
    /// The client sends nothing more, which the general path hears of when this one has nothing left to answer.
    private var isInputEnded = false
    /// The last `Host` that was accepted: mostly that of the next request too.
    private var acceptedHost: String?
    private var context: ChannelHandlerContext?

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
    }

    // MARK: - Coming in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        if !waiting.isEmpty || mustWait(part, context) {
            waiting.append(part)
        } else if !take(part, context) {
            passOn(part, context)
        }
    }

    /// No request is begun while another is answered here, or while the client leaves its answers lying.
    private func mustWait(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) -> Bool {
        switch (state, part) {
        case (.answering, _): true
        case (.open, .head): !context.channel.isWritable
        default: false
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
            guard passedOn == 0, let plain = PlainHead(head), plain.contentLength <= shortcut.maximumBodyLength,
                shortcut.takes(plain), isAccepted(plain.host)
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

    private func isAccepted(_ host: String?) -> Bool {
        guard let host else { return false }
        if host == acceptedHost { return true }
        guard common.hosts.accepts(host) else { return false }
        acceptedHost = host
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
        connection.send(document, requestID: id, isHead: head.method == .head, ends: endsWhenAnswered)
        common.metrics.count(
            route: shortcut.route, status: document.status.code,
            microseconds: UInt64((NIODeadline.now() - started).nanoseconds / 1_000))
        takeWaiting(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { takeWaiting(context) }
        context.fireChannelWritabilityChanged()
    }

    /// Goes on with what came meanwhile; in a loop, as answers may come at once.
    private func takeWaiting(_ context: ChannelHandlerContext) {
        guard !isTakingWaiting else { return }
        isTakingWaiting = true
        var isPassedOn = false
        while !connection.isEnding, let part = waiting.first, !mustWait(part, context) {
            waiting.removeFirst()
            if !take(part, context) {
                passOn(part, context)
                isPassedOn = true
            }
        }
        isTakingWaiting = false
        if isPassedOn { context.fireChannelReadComplete() }
        if connection.isEnding { waiting.removeAll() }
        guard !isBusy else { return }
        if isReadHeld {
            isReadHeld = false
            context.read()
        }
        if isInputEnded {
            isInputEnded = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }

    private var isBusy: Bool {
        if case .answering = state { return true }
        return !waiting.isEmpty
    }

    // MARK: - The end

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch (event, state) {
        case (is ChannelShouldQuiesceEvent, .receiving), (is ChannelShouldQuiesceEvent, .answering):
            endsWhenAnswered = true
        case (let event as ChannelEvent, _) where event == .inputClosed && isBusy:
            isInputEnded = true
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        waiting.removeAll()
        state = .open
        context.fireChannelInactive()
    }
}
