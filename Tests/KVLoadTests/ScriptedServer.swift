import NIOCore
import NIOPosix
import Synchronization

@testable import KVLoad

/// A server that does as it is told. It has one thread, and every connection is answered in order.
final class ScriptedServer: Sendable {
    enum Reply {
        /// Redis's usual one: OK, or a value of five bytes.
        case usual
        case text(String)
        /// After so long; the other connections are answered meanwhile.
        case late(String, TimeAmount)
        case close
        /// Closes, and listens no more.
        case vanish
    }

    let requests = Atomic<Int>(0)
    let sets = Atomic<Int>(0)
    /// What the request of this number, counted over all connections from 1, is answered with.
    private let script: @Sendable (Int, String) -> Reply
    /// What `CLUSTER NODES` says, by the server's own port.
    private let nodes: @Sendable (Int) -> String

    init(
        script: @escaping @Sendable (Int, String) -> Reply = { _, _ in .usual },
        nodes: @escaping @Sendable (Int) -> String = {
            "aa 127.0.0.1:\($0)@1 myself,master - 0 0 1 connected 0-16383\n"
        }
    ) {
        self.nodes = nodes
        self.script = script
    }

    func whileListening<Value>(_ body: (LoadEndpoint) async throws -> Value) async throws -> Value {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(LoadEndpoint(host: "127.0.0.1", port: channel.localAddress?.port ?? 0)))
        } catch {
            result = .failure(error)
        }
        try? await channel.close()
        try await group.shutdownGracefully()
        return try result.get()
    }

    /// An answer of HTTP with a body of JSON.
    static func http(_ status: String, _ body: String) -> String {
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let server: ScriptedServer

        init(_ server: ScriptedServer) { self.server = server }

        /// One request arrives at a time: clients wait for answers.
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let text = String(buffer: unwrapInboundIn(data))
            if text.contains("CLUSTER") {
                let lines = server.nodes(context.channel.localAddress?.port ?? 0)
                return write("$\(lines.utf8.count)\r\n\(lines)\r\n", context)
            }
            let number = server.requests.add(1, ordering: .relaxed).newValue
            if text.contains("SET") { server.sets.add(1, ordering: .relaxed) }
            switch server.script(number, text) {
            case .usual: write(text.contains("SET") ? "+OK\r\n" : "$5\r\n12345\r\n", context)
            case .text(let answer): write(answer, context)
            case .late(let answer, let time):
                context.eventLoop.assumeIsolated().scheduleTask(in: time) { self.write(answer, context) }
            case .close: context.close(promise: nil)
            case .vanish:
                context.channel.parent?.close(promise: nil)
                context.close(promise: nil)
            }
        }

        private func write(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }
    }
}
