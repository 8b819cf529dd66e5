import KVProtocols
import NIOCore
import NIOPosix

/// Which server of a Redis cluster holds which slots.
struct RedisCluster: Equatable {
    var endpoint: LoadEndpoint
    var slots: [ClosedRange<UInt16>]

    /// Asks the first server that answers. Masters with slots, in the order of their addresses.
    static func look(_ endpoints: [LoadEndpoint]) async throws(LoadError) -> [RedisCluster] {
        var problems: [String] = []
        for endpoint in endpoints {
            do throws(LoadError) {
                return try await look(endpoint)
            } catch {
                problems.append(error.description)
            }
        }
        throw LoadError(problems.joined(separator: "; "))
    }

    private static func look(_ endpoint: LoadEndpoint) async throws(LoadError) -> [RedisCluster] {
        let cluster = parse(try await ask(endpoint))
        guard !cluster.isEmpty else {
            throw LoadError("\(endpoint) says of no server that it holds slots: is it part of a Redis cluster?")
        }
        let covered = cluster.flatMap(\.slots).reduce(0) { $0 + $1.count }
        guard covered == Slot.count else {
            throw LoadError("the Redis cluster of \(endpoint) covers \(covered) of \(Slot.count) slots")
        }
        return cluster
    }

    private static func ask(_ endpoint: LoadEndpoint) async throws(LoadError) -> String {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let text = loop.makePromise(of: String.self)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RedisQuestion(answer: text))
                }
            }
        let channel: any Channel
        do {
            channel = try await bootstrap.connect(host: endpoint.host, port: endpoint.port).get()
        } catch {
            text.fail(error)
            throw LoadError("\(endpoint) can't be reached: \(error)")
        }
        let timer = channel.eventLoop.scheduleTask(in: .seconds(5)) { channel.close(promise: nil) }
        defer { timer.cancel() }
        do {
            return try await text.futureResult.get()
        } catch let error as LoadError {
            throw LoadError("\(endpoint): \(error.description)")
        } catch {
            throw LoadError("\(endpoint) does not answer: \(error)")
        }
    }

    /// Reads the answer to `CLUSTER NODES`: a line per server with id, address, flags, six more fields, then slots.
    static func parse(_ text: String) -> [RedisCluster] {
        var result: [RedisCluster] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let fields = line.split(separator: " ")
            guard fields.count > 8, fields[2].split(separator: ",").contains(where: { $0 == "master" }) else {
                continue
            }
            // host:port@port of the bus,name
            guard let endpoint = LoadEndpoint(String(fields[1].prefix { $0 != "@" })) else { continue }
            let slots = fields[8...].compactMap { field -> ClosedRange<UInt16>? in
                let ends = field.split(separator: "-").map { UInt16($0) }
                guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last, last < Slot.count
                else { return nil }
                return first...last
            }
            if !slots.isEmpty { result.append(RedisCluster(endpoint: endpoint, slots: slots)) }
        }
        return result.sorted { ($0.endpoint.host, $0.endpoint.port) < ($1.endpoint.host, $1.endpoint.port) }
    }
}

/// Asks `CLUSTER NODES` and collects the answer.
private final class RedisQuestion: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let longestAnswer = 4 << 20
    private let answer: EventLoopPromise<String>
    private var arrived = ByteBuffer()

    init(answer: EventLoopPromise<String>) { self.answer = answer }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(
            wrapOutboundOut(ByteBuffer(string: "*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n")), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        arrived.writeBuffer(&buffer)
        do throws(LoadProtocolError) {
            guard arrived.readableBytes <= RedisQuestion.longestAnswer else {
                throw LoadProtocolError("the answer to CLUSTER NODES is too long")
            }
            guard let (reply, length) = try RedisReply.read(arrived.readableBytesView) else { return }
            guard case .bulk(let count) = reply else {
                throw LoadProtocolError("CLUSTER NODES was answered with \(reply)")
            }
            answer.succeed(arrived.getString(at: arrived.readerIndex + length - count - 2, length: count) ?? "")
        } catch {
            answer.fail(LoadError(error.description))
        }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(LoadError("the Redis server closed the connection, or did not answer in 5 s"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }
}
