internal import AsyncHTTPClient
internal import HTTPTypes
internal import Hummingbird
internal import KVController
internal import KVHTTP
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// Passes clients' requests on to a live node, so that the web page and simple clients need one address only.
///
/// `?node=` picks the node. Otherwise nodes take turns, and one that can't be connected to is skipped; a read goes to
/// the next node also when the connection breaks. A write that may have left this process is never sent twice: its
/// outcome is then unknown.
final class PassThrough: Sendable {
    /// Added to the time that the client gives the operation.
    private static let grace = Duration.seconds(2)
    private static let batchTime = Duration.seconds(65)
    /// Bodies of answers up to this length are collected; longer ones are streamed.
    private static let collectedLength = 64 << 10

    private let service: any ControllerService
    private let client: HTTPClient
    private let maximumBodyLength: Int
    private let turn = Atomic<UInt>(0)

    init(service: any ControllerService, client: HTTPClient, maximumBodyLength: Int) {
        self.service = service
        self.client = client
        self.maximumBodyLength = maximumBodyLength
    }

    /// Idle connections are given up long before nodes close them, so that no request meets a closing one.
    static func makeClient(_ group: any EventLoopGroup) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(2)),
            connectionPool: .init(idleTimeout: .seconds(5)))
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        configuration.httpVersion = .http1Only
        return HTTPClient(eventLoopGroup: group, configuration: configuration)
    }

    func respond(_ exchange: Exchange) async throws -> Response {
        switch exchange.method {
        case .get, .head, .put, .delete, .post: break
        default: throw Problem.methodNotAllowed("GET, HEAD, PUT, DELETE, POST")
        }
        let target = try ForwardedTarget(exchange)
        let isRead = exchange.method == .get || exchange.method == .head
        let nodes = try await candidates(target.node)
        let body = try await exchange.body.collect(upTo: maximumBodyLength)
        let deadline =
            NIODeadline.now()
            + TimeAmount(
                exchange.path == "/batch" ? PassThrough.batchTime : target.timeout + PassThrough.grace)
        for node in nodes {
            do {
                return try await send(exchange, target.uri, body, to: node, deadline)
            } catch {
                switch Failure(error) {
                case .notSent: continue
                case .broken where isRead: continue
                case .broken, .late:
                    throw Problem(
                        .gatewayTimeout, "outcome_unknown",
                        isRead
                            ? "\(node.name) did not answer in time"
                            : "\(node.name) did not answer; the write may take effect now, later or never",
                        outcome: isRead ? nil : .unknown)
                }
            }
        }
        throw Problem.serviceUnavailable("node_unreachable", "no node could be reached")
    }

    /// The nodes to try in this order.
    private func candidates(_ name: String?) async throws -> ArraySlice<NodeEndpoint> {
        let nodes = await service.reachableNodes()
        if let name {
            if let node = nodes.first(where: { $0.name == name }) { return [node] }
            // Throws when the name is unknown.
            _ = try await service.nodeAnswer(name)
            throw Problem.serviceUnavailable("node_unreachable", "\(name) is down")
        }
        guard !nodes.isEmpty else { throw Problem.serviceUnavailable("no_nodes", "no node is up") }
        let start = Int(turn.wrappingAdd(1, ordering: .relaxed).oldValue % UInt(nodes.count))
        return nodes[start...] + nodes[..<start]
    }

    private func send(
        _ exchange: Exchange, _ uri: String, _ body: ByteBuffer, to node: NodeEndpoint, _ deadline: NIODeadline
    ) async throws -> Response {
        var request = HTTPClientRequest(url: "http://\(node.address)\(uri)")
        request.method = HTTPMethod(rawValue: exchange.method.rawValue)
        for name in [HTTPField.Name.contentType, .accept, .ifMatch, .ifNoneMatch] {
            if let value = exchange.headers[name] { request.headers.add(name: name.rawName, value: value) }
        }
        request.headers.add(name: HTTPField.Name.requestID.rawName, value: exchange.id)
        if body.readableBytes > 0 { request.body = .bytes(body) }
        let answer = try await client.execute(request, deadline: deadline)
        var headers = HTTPFields()
        headers.reserveCapacity(16)
        for name in PassThrough.keptFields {
            if let value = answer.headers.first(name: name.rawName) {
                headers.append(HTTPField(name: name, value: value))
            }
        }
        let status = HTTPResponse.Status(code: Int(answer.status.code), reasonPhrase: answer.status.reasonPhrase)
        let length = answer.headers.first(name: "content-length").flatMap { Int($0) }
        if exchange.method == .head {
            if let length { headers.append(HTTPField(name: .contentLength, value: String(length))) }
            return Response(status: status, headers: headers)
        }
        if let length, length <= PassThrough.collectedLength {
            let body = try await answer.body.collect(upTo: PassThrough.collectedLength)
            return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
        }
        return Response(
            status: status, headers: headers,
            body: ResponseBody(contentLength: length) { writer in
                for try await part in answer.body { try await writer.write(part) }
                try await writer.finish(nil)
            })
    }

    private static let keptFields: [HTTPField.Name] = [
        .contentType, .contentDisposition, .eTag, .allow, .retryAfter, .kvServedBy, .kvLeader, .kvExpiresAt,
    ]

    /// How a request to a node failed.
    private enum Failure {
        /// No byte of it can have reached the node.
        case notSent
        case broken
        case late

        init(_ error: any Error) {
            if let error = error as? HTTPClientError {
                switch error {
                case .connectTimeout, .getConnectionFromPoolTimeout, .invalidURL: self = .notSent
                case .deadlineExceeded, .readTimeout: self = .late
                default: self = .broken
                }
            } else if let error = error as? IOError {
                let isRefusal = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode)
                self = isRefusal ? .notSent : .broken
            } else if error is NIOConnectionError {
                self = .notSent
            } else {
                self = error is CancellationError ? .late : .broken
            }
        }
    }
}
