import AsyncHTTPClient
import Hummingbird
import KVControllerHTTP
import KVHTTP
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization

/// A node as the controller sees one: it remembers what it was sent and answers what `reply` says.
final class FakeNode: HTTPHandler {
    struct Seen: Sendable {
        var method: String
        var target: String
        var headers: HTTPFields
        var body: String
    }

    let name: String
    let seen = Mutex<[Seen]>([])
    private let reply: @Sendable (Seen) async throws -> Response

    init(_ name: String, reply: @escaping @Sendable (Seen) async throws -> Response) {
        self.name = name
        self.reply = reply
    }

    func route(of path: Substring) -> Int { 0 }

    func handle(_ exchange: Exchange) async throws -> Response {
        let body = String(buffer: try await exchange.body.collect(upTo: 16 << 20))
        let seen = Seen(
            method: exchange.method.rawValue, target: exchange.request.head.path ?? "", headers: exchange.headers,
            body: body)
        self.seen.withLock { $0.append(seen) }
        return try await reply(seen)
    }
}

struct Cluster: Sendable {
    let controller: ScriptedController
    let client: HTTPClient
    let port: Int

    func request(
        _ method: HTTPMethodName, _ target: String, _ headers: [(String, String)] = [], body: String? = nil
    ) async throws -> (status: Int, headers: [String: String], body: String) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(target)")
        request.method = .RAW(value: method.rawValue)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        let answer = try await client.execute(request, timeout: .seconds(20))
        var fields: [String: String] = [:]
        for (name, value) in answer.headers { fields[name.lowercased()] = value }
        return (Int(answer.status.code), fields, String(buffer: try await answer.body.collect(upTo: 64 << 20)))
    }

    /// The first messages of a stream, until `isEnough` or the end.
    func stream(
        _ target: String, _ headers: [(String, String)] = [], until isEnough: (String) -> Bool
    ) async throws -> (type: String?, text: String) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(target)")
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let answer = try await client.execute(request, timeout: .seconds(30))
        var text = ""
        for try await part in answer.body {
            text += String(buffer: part)
            if isEnough(text) { break }
        }
        return (answer.headers.first(name: "content-type"), text)
    }
}

enum HTTPMethodName: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case put = "PUT"
    case delete = "DELETE"
    case post = "POST"
    case patch = "PATCH"
}

/// A controller in front of `nodes`, and of `unreachable` names behind a port where nobody listens.
func withCluster(
    nodes: [FakeNode] = [], unreachable: [String] = [], _ body: (Cluster) async throws -> Void
) async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let controller = ScriptedController()
    let client = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    try await withThrowingTaskGroup(of: Void.self) { group in
        var endpoints = unreachable.map { NodeEndpoint(name: $0, address: "127.0.0.1:1") }
        for node in nodes {
            let (ports, bound) = AsyncStream.makeStream(of: Int.self)
            let server = HTTPServer(
                host: "127.0.0.1", port: 0, limits: HTTPServerLimits(), handler: node,
                metrics: RequestMetrics(routes: ["all"]), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
                logger: logger, onBound: { bound.yield($0) })
            group.addTask { try await server.run() }
            for await port in ports {
                endpoints.append(NodeEndpoint(name: node.name, address: "127.0.0.1:\(port)"))
                break
            }
        }
        controller.script.withLock { [endpoints] in $0.endpoints = endpoints }
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let server = ControllerHTTPServer(
            service: controller, host: "127.0.0.1", port: 0, maximumBodyLength: 4 << 20,
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger, onBound: { bound.yield($0) })
        group.addTask { try await server.run() }
        for await port in ports {
            do {
                try await body(Cluster(controller: controller, client: client, port: port))
            } catch {
                try await client.shutdown()
                throw error
            }
            break
        }
        group.cancelAll()
    }
    try await client.shutdown()
}
