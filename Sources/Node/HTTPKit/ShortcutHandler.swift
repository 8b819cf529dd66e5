internal import HTTPTypes
internal import NIOCore

/// The part of a connection that asks a `RequestShortcut` before anybody else sees a request: in front of the parser of
/// the general path, on the bytes as they come. One request at a time: what a client sends before it has its answer,
/// or without taking those that it has, waits here, and stops the reading from the socket.
///
/// What is not the shortcut's goes on to the parser, request by request as long as it is clear where each ends; then the
/// next may be the shortcut's again. After one that `PlainHead.find` leaves to the parser, and after the last that a client
/// announces, everything goes there for good.
final class ShortcutHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    /// What is written passes by.
    typealias OutboundIn = Never
    typealias OutboundOut = Never

    private enum State {
        /// What comes next is the head of a request.
        case open
        case receiving(PlainHead)
        case answering(isHead: Bool)
        /// So many bytes of a request are still to come that the general path has.
        case passing(Int)
        case general
    }

    /// Longer heads, in bytes, are the parser's, which has limits of its own.
    private static let longestHead = 8 << 10

    private let shortcut: any RequestShortcut
    private let connection: ConnectionGuard
    private let common: ServerCommons
    private var state = State.open
    /// What came and went nowhere yet: the beginning of a request, or what waits for the answer to the one before.
    private var received = ByteBuffer()
    private var started = NIODeadline.now()
    private var isAdvancing = false
    private var hasPassedOn = false
    private var isReadHeld = false
    private var endsWhenAnswered = false
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

    /// Bytes of memory for what waits here.
    var capacity: Int { received.capacity }

    // MARK: - Coming in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !connection.isEnding else { return }
        var bytes = unwrapInboundIn(data)
        if received.readableBytes == 0 {
            received = bytes
        } else {
            // What was read stays in a buffer that grows.
            received.discardReadBytes()
            received.writeBuffer(&bytes)
        }
        advance(context)
    }

    /// Goes on as far as possible; in a loop, as answers may come at once.
    private func advance(_ context: ChannelHandlerContext) {
        guard !isAdvancing else { return }
        isAdvancing = true
        while !connection.isEnding, step(context) {}
        isAdvancing = false
        // A connection at rest holds no memory that was read into.
        if connection.isEnding || received.readableBytes == 0 { received = ByteBuffer() }
    }

    /// `false` when something else must happen first.
    private func step(_ context: ChannelHandlerContext) -> Bool {
        switch state {
        case .open:
            guard received.readableBytes > 0, context.channel.isWritable else { return false }
            return begin(context)
        case .receiving(let head):
            connection.somethingCame()
            guard NIODeadline.now() - started <= TimeAmount(common.limits.bodyTimeout) else {
                refuseSlowBody(head)
                return false
            }
            guard let body = received.readSlice(length: head.contentLength) else { return false }
            answer(head, body, context)
            return true
        case .passing(let rest):
            guard received.readableBytes > 0,
                let part = received.readSlice(length: min(rest, received.readableBytes))
            else { return false }
            state = rest == part.readableBytes ? .open : .passing(rest - part.readableBytes)
            passOn(part, context)
            return true
        case .general:
            guard received.readableBytes > 0 else { return false }
            let all = received
            received = ByteBuffer()
            passOn(all, context)
            return true
        case .answering: return false
        }
    }

    private func begin(_ context: ChannelHandlerContext) -> Bool {
        let found: PlainHead.Found
        do throws(PlainHead.Unclear) {
            let limits = common.limits
            let longest = min(Self.longestHead, limits.maximumHeaderFieldLength)
            let whole = try PlainHead.find(in: received, maximumFields: limits.maximumHeaderCount)
            guard whole?.length ?? received.readableBytes <= longest else { throw PlainHead.Unclear() }
            guard let whole else { return false }
            found = whole
        } catch {
            state = .general
            return true
        }
        let head = found.head
        guard found.isPlain, connection.owesNothing, head.contentLength <= shortcut.maximumBodyLength,
            shortcut.takes(head), isAccepted(head.host)
        else {
            // What follows a client's last request is the parser's to refuse.
            state = head.ends ? .general : .passing(found.length + head.contentLength)
            return true
        }
        received.moveReaderIndex(forwardBy: found.length)
        started = .now()
        guard let body = received.readSlice(length: head.contentLength) else {
            state = .receiving(head)
            return true
        }
        answer(head, body, context)
        return true
    }

    private func passOn(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
        hasPassedOn = true
        context.fireChannelRead(wrapInboundOut(part))
    }

    private func isAccepted(_ host: String?) -> Bool {
        guard let host else { return false }
        if host == acceptedHost { return true }
        guard common.hosts.accepts(host) else { return false }
        acceptedHost = host
        return true
    }

    private func answer(_ head: PlainHead, _ body: ByteBuffer, _ context: ChannelHandlerContext) {
        state = .answering(isHead: head.method == .head)
        connection.requestCame()
        if head.ends { endsWhenAnswered = true }
        let id = head.requestID ?? common.requestIDs.make()
        let loop = context.eventLoop
        let handler = NIOLoopBound(self, eventLoop: loop)
        shortcut.answer(head, body: body, requestID: id) { document in
            if loop.inEventLoop {
                handler.value.finish(document, id)
            } else {
                loop.execute { handler.value.finish(document, id) }
            }
        }
    }

    private func refuseSlowBody(_ head: PlainHead) {
        state = .answering(isHead: head.method == .head)
        endsWhenAnswered = true
        let id = head.requestID ?? common.requestIDs.make()
        finish(Problem.bodyTooSlow.document(requestID: id), id)
    }

    /// Nobody behind this hears of a read that brought nothing for them.
    func channelReadComplete(context: ChannelHandlerContext) {
        guard hasPassedOn else { return }
        hasPassedOn = false
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if isBusy, received.readableBytes > 0 { isReadHeld = true } else { context.read() }
    }

    // MARK: - Going out

    private func finish(_ document: Document, _ id: String) {
        guard case .answering(let isHead) = state, let context, context.channel.isActive else { return }
        // Nothing is begun, and the channel may close, while the answer is being written.
        connection.send(document, requestID: id, isHead: isHead, ends: endsWhenAnswered)
        if case .answering = state { state = .open }
        common.metrics.count(
            route: shortcut.route, status: document.status.code,
            microseconds: UInt64((NIODeadline.now() - started).nanoseconds / 1_000))
        if !isAdvancing { resume(context) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, !isAdvancing { resume(context) }
        context.fireChannelWritabilityChanged()
    }

    /// Goes on with what came meanwhile.
    private func resume(_ context: ChannelHandlerContext) {
        advance(context)
        if hasPassedOn {
            hasPassedOn = false
            context.fireChannelReadComplete()
        }
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

    /// Whether an answer is under way here, or requests wait until the client takes those that it has.
    private var isBusy: Bool {
        switch state {
        case .answering: true
        case .open: received.readableBytes > 0 && context?.channel.isWritable == false
        case .receiving, .passing, .general: false
        }
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
        received = ByteBuffer()
        state = .general
        context.fireChannelInactive()
    }
}
