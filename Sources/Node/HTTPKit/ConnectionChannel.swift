internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// Hummingbird's HTTP/1 connection with things added: a guard and the shortcut behind the parser, and the connection's
/// own event loop as the place where its requests run.
struct ConnectionChannel: ServerChildChannel {
    let base: HTTP1Channel
    let common: ServerCommons
    let shortcut: (any RequestShortcut)?

    /// What the system takes beyond what is on its way to the client, in bytes: so that a slow client is seen to take
    /// its answer, and a dead one not to.
    private static let unsentInSystem = 128 << 10

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        let (common, shortcut) = (common, shortcut)
        return base.setup(channel: channel, logger: logger).flatMapThrowing { value in
            try channel.syncOptions?.setOption(
                .tcpOption(NIOBSDSocket.Option(rawValue: CInt(TCP_NOTSENT_LOWAT))),
                value: ConnectionChannel.unsentInSystem)
            let pipeline = channel.pipeline.syncOperations
            let parser = try pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self)
            let encoder = try pipeline.context(handlerType: HTTPResponseEncoder.self)
            let connection = ConnectionGuard(common, encoder: encoder)
            try pipeline.addHandler(connection, position: .after(parser.handler))
            if let shortcut {
                try pipeline.addHandler(
                    ShortcutHandler(shortcut, connection: connection, common: common), position: .after(connection))
            }
            return value
        }
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) {
            await base.handle(value: value, logger: logger)
        }
    }
}
