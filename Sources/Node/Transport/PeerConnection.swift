internal import KVProtocols
internal import NIOCore

/// One TCP connection: cuts what comes in into frames, and batches what goes out. Belongs to the event loop; the hub
/// decides what anything means.
final class PeerConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Role: Equatable {
        /// This node dialled: it sends messages, the other side only shows that it lives.
        case dialled(NodeID)
        case accepted
    }

    let role: Role
    let channel: any Channel
    let openedAt = NIODeadline.now()
    private let hub: PeerHub
    /// Whom this connection leads to, once that is known.
    var node: NodeID?
    var boot: UInt64 = 0
    var generation: UInt64 = 0
    var isEstablished = false
    /// Nothing that still arrives counts.
    private(set) var isClosed = false
    /// The link's queue, once messages may be sent.
    var outbox: PeerOutbox?
    var heardAt = NIODeadline.now()
    var saidAt = NIODeadline.now()
    /// Since the last tick: the clock is read there, not at every read and write.
    var hasHeard = false
    var hasSaid = false

    private var unread = ByteBuffer()
    private var received: [PeerMessage] = []
    private var waiting: [PeerMessage] = []
    private var position = 0

    init(role: Role, channel: any Channel, hub: PeerHub) {
        self.role = role
        self.channel = channel
        self.hub = hub
    }

    // MARK: - Coming in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosed else { return }
        var part = unwrapInboundIn(data)
        hasHeard = true
        if unread.readableBytes == 0 {
            unread = part
        } else {
            unread.discardReadBytes()
            unread.writeBuffer(&part)
        }
        do throws(PeerCodecError) {
            while !isClosed, try readFrame() {}
        } catch {
            deliver()
            hub.malformed(self, error)
        }
        // Nothing is left: let go of the memory that a large frame needed.
        if unread.readableBytes == 0 { unread = ByteBuffer() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        deliver()
        context.fireChannelReadComplete()
    }

    private func deliver() {
        guard !received.isEmpty else { return }
        let messages = received
        received = []
        received.reserveCapacity(min(messages.count, 1024))
        if !isClosed { hub.received(messages, on: self) }
    }

    /// Reads one frame; `false` when it has not arrived as a whole.
    private func readFrame() throws(PeerCodecError) -> Bool {
        guard let length = unread.getInteger(at: unread.readerIndex, endianness: .little, as: UInt32.self) else {
            return false
        }
        let limit = isEstablished ? PeerCodec.maximumFrameLength : PeerCodec.maximumGreetingLength
        guard length >= 1, length <= limit else { throw .frameLength(length) }
        guard unread.readableBytes >= 4 + Int(length) else { return false }
        unread.moveReaderIndex(forwardBy: 4)
        guard var frame = unread.readSlice(length: Int(length)), let kind = frame.readInteger(as: UInt8.self) else {
            throw .truncated
        }
        try take(frame, kind: kind)
        return true
    }

    private func take(_ frame: ByteBuffer, kind: UInt8) throws(PeerCodecError) {
        switch (PeerFrameKind(rawValue: kind), role, isEstablished) {
        case (.messages, .accepted, true):
            let before = received.count
            let damaged = try frame.withContent { bytes throws(PeerCodecError) in
                try PeerCodec.decode(bytes, into: &received)
            }
            hub.counted(frame: frame.readableBytes + 5, messages: received.count - before, damaged: damaged)
        case (.ping, _, true): break
        case (.hello, .accepted, false):
            hub.hello(try frame.withContent { bytes throws(PeerCodecError) in try PeerHello(bytes) }, on: self)
        case (.welcome, .dialled, false):
            hub.welcome(try frame.withContent { bytes throws(PeerCodecError) in try PeerHello(bytes) }, on: self)
        case (.turnedAway, .dialled, false):
            hub.refused(try frame.withContent { bytes throws(PeerCodecError) in PeerNotice.reason(bytes) }, on: self)
        default: throw .unknownTag(.frame, kind)
        }
    }

    // MARK: - Going out

    func say(_ frame: ByteBuffer) {
        guard !isClosed else { return }
        hasSaid = true
        channel.writeAndFlush(frame, promise: nil)
    }

    /// Encodes what waits as long as the channel takes it, and flushes once. What the channel does not take goes on
    /// waiting, within the bound of the queue, until it is writable again.
    func drain() {
        guard !isClosed, isEstablished, let outbox else { return }
        var frames = 0
        var bytes = 0
        var sent = 0
        while channel.isWritable {
            if position == waiting.count { refill(from: outbox) }
            let start = position
            guard let (frame, ownLengths) = PeerCodec.frame(of: waiting, from: &position, allocator: channel.allocator)
            else { break }
            let messages = position - start
            frames += 1
            bytes += frame.readableBytes
            sent += messages
            outbox.release(ownLengths + messages * MemoryLayout<PeerMessage>.stride)
            channel.write(frame, promise: nil)
        }
        guard frames > 0 else { return }
        hasSaid = true
        channel.flush()
        hub.counted(sentFrames: frames, bytes: bytes, messages: sent)
    }

    private func refill(from outbox: PeerOutbox) {
        // The array is swapped to and fro to keep its room, unless a burst made it large.
        if waiting.capacity > 8192 { waiting = [] } else { waiting.removeAll(keepingCapacity: true) }
        position = 0
        outbox.take(into: &waiting)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        // Later, not within the flush that made the channel writable.
        if channel.isWritable { context.eventLoop.assumeIsolated().execute { self.drain() } }
        context.fireChannelWritabilityChanged()
    }

    // MARK: - The end

    /// Closes; the hub hears of it at once, and of nothing that still arrives. With a reason the other side is told
    /// it first.
    func close(saying reason: String? = nil) {
        guard !isClosed else { return }
        deliver()
        guard !isClosed else { return }
        isClosed = true
        if let reason {
            channel.writeAndFlush(PeerNotice.turnedAway(reason, allocator: channel.allocator)).assumeIsolated()
                .whenComplete { _ in self.channel.close(promise: nil) }
        } else {
            channel.close(promise: nil)
        }
        hub.closed(self, dropped: waiting.count - position)
        waiting = []
        position = 0
        unread = ByteBuffer()
    }

    func channelInactive(context: ChannelHandlerContext) {
        close()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        hub.failed(self, error)
        close()
    }
}

extension ByteBuffer {
    /// `withUnsafeReadableBytes` with a typed error.
    func withContent<Result>(
        _ body: (UnsafeRawBufferPointer) throws(PeerCodecError) -> Result
    ) throws(PeerCodecError) -> Result {
        let result = withUnsafeReadableBytes { bytes in
            Swift.Result { () throws(PeerCodecError) -> Result in try body(bytes) }
        }
        return try result.get()
    }
}
