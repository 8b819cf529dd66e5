internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// Hummingbird's HTTP/1 connection with things added: the shortcut in front of the parser, a guard behind it, and the
/// connection's own event loop as the place where its requests run.
struct ConnectionChannel: ServerChildChannel {
    /// A connection that is being served already.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let service: Task<Void, Never>
    }

    let base: HTTP1Channel
    let common: ServerCommons
    let shortcut: (any RequestShortcut)?

    /// What the system takes beyond what is on its way to the client, in bytes: so that a slow client is seen to take
    /// its answer, and a dead one not to.
    private static let unsentInSystem = 128 << 10

    /// Serving begins here and not in `handle`: a server that stops lets go of connections that it has accepted and not
    /// handled yet, and one that nobody serves ends the process when it is let go of.
    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        base.setup(channel: channel, logger: logger).map { value in
            do {
                try addHandlers(to: channel)
            } catch {
                logger.debug("a connection closed before it was set up", metadata: ["error": "\(error)"])
                channel.close(promise: nil)
            }
            let service = Task {
                await withTaskExecutorPreference(LoopExecutor(channel.eventLoop)) {
                    await base.handle(value: value, logger: logger)
                }
            }
            return Value(channel: channel, service: service)
        }
    }

    func handle(value: Value, logger: Logger) async {
        await withTaskCancellationHandler {
            await value.service.value
        } onCancel: {
            value.service.cancel()
        }
    }

    private func addHandlers(to channel: any Channel) throws {
        try channel.syncOptions?.setOption(
            .tcpOption(NIOBSDSocket.Option(rawValue: CInt(TCP_NOTSENT_LOWAT))), value: Self.unsentInSystem)
        let pipeline = channel.pipeline.syncOperations
        let parser = try pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self)
        let encoder = try pipeline.context(handlerType: HTTPResponseEncoder.self)
        let connection = ConnectionGuard(common, encoder: encoder)
        try pipeline.addHandler(connection, position: .after(parser.handler))
        if let shortcut {
            try pipeline.addHandler(
                ShortcutHandler(shortcut, connection: connection, common: common), position: .before(parser.handler))
        }
    }
}
