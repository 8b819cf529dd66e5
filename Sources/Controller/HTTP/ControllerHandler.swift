internal import HTTPTypes
internal import Hummingbird
internal import KVController
internal import KVHTTP
internal import KVProtocols
internal import KVWebUI
internal import NIOCore

/// Finds the endpoint of a request.
struct ControllerHandler: HTTPHandler {
    static let maximumHeartbeatLength = 4 << 20

    let service: any ControllerService
    let passThrough: PassThrough
    let metrics: RequestMetrics
    let streams: StateStreams

    init(service: any ControllerService, passThrough: PassThrough, metrics: RequestMetrics) {
        self.service = service
        self.passThrough = passThrough
        self.metrics = metrics
        streams = StateStreams(service: service)
    }

    func route(of path: Substring) -> Int { ControllerRoute(path).index }

    func handle(_ exchange: Exchange) async throws -> Response {
        do {
            return try await dispatch(exchange)
        } catch let error as ControllerError {
            throw ControllerHandler.problem(error)
        }
    }

    private func dispatch(_ exchange: Exchange) async throws -> Response {
        if exchange.path.hasPrefix("/kv/") { return try await passThrough.respond(exchange) }
        if exchange.path.hasPrefix("/nodes/") { return try await node(exchange) }
        switch exchange.path {
        case "/keys", "/batch", "/replicas":
            return try await passThrough.respond(exchange)
        case "/internal/heartbeat":
            return try await heartbeat(exchange)
        case "/alarm/acknowledge":
            try exchange.allow(.post)
            _ = try QueryParameters(exchange.query, known: [])
            return try JSON.response(["acknowledged": await service.acknowledgeLosses()])
        case "/health", "/nodes", "/partitions", "/map", "/livez", "/readyz", "/version", "/metrics", "/events",
            "/stream":
            try exchange.allow(.get, .head)
            return try await state(exchange)
        default:
            return try page(exchange)
        }
    }

    // MARK: State

    private func state(_ exchange: Exchange) async throws -> Response {
        switch exchange.path {
        case "/map":
            let query = try QueryParameters(exchange.query, known: ["key"])
            guard let key = query.bytes("key") else { return try JSON.response(await service.mapAnswer()) }
            guard let text = String(validating: key, as: UTF8.self) else {
                throw Problem.badRequest("bad_key", KeyError.notUTF8.description)
            }
            return try JSON.response(await service.mapAnswer(key: text))
        case "/events": return try await streams.events(exchange)
        default: break
        }
        _ = try QueryParameters(exchange.query, known: [])
        switch exchange.path {
        case "/health": return try JSON.response(await service.healthAnswer())
        case "/nodes": return try JSON.response(await service.nodesAnswer())
        case "/partitions": return try JSON.response(await service.partitionsAnswer())
        case "/stream": return try streams.state()
        case "/livez": return CommonAnswers.alive
        case "/readyz": return CommonAnswers.ready
        case "/version": return CommonAnswers.version
        default: return await metricsText()
        }
    }

    private func metricsText() async -> Response {
        let figures = await service.figures()
        var text = PrometheusText()
        text.family("kv_controller_info", "The controller and its version.", "gauge")
        text.sample("kv_controller_info", "version=\"\(KVVersion.current)\"", 1)
        text.gauge("kv_map_epoch", "Epoch of the newest cluster map.", figures.mapEpoch)
        text.gauge("kv_nodes", "Nodes of the cluster.", figures.nodesTotal)
        text.gauge("kv_nodes_up", "Nodes that are up.", figures.nodesUp)
        text.family("kv_partitions", "Partitions, by state.", "gauge")
        text.sample("kv_partitions", "state=\"ok\"", figures.partitionsOK)
        text.sample("kv_partitions", "state=\"moving\"", figures.partitionsMoving)
        text.sample("kv_partitions", "state=\"under_replicated\"", figures.partitionsUnderReplicated)
        text.sample("kv_partitions", "state=\"leaderless\"", figures.partitionsLeaderless)
        metrics.write(to: &text)
        return text.response
    }

    // MARK: Nodes

    private func node(_ exchange: Exchange) async throws -> Response {
        _ = try QueryParameters(exchange.query, known: [])
        let parts = exchange.path.dropFirst("/nodes/".count).split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, let bytes = percentDecoded(first.utf8), !bytes.isEmpty,
            let name = String(validating: bytes, as: UTF8.self)
        else { throw Problem.notFound(path: exchange.path) }
        switch (parts.count, parts.last) {
        case (1, _):
            if exchange.method == .delete {
                try await service.removeNode(name)
                return accepted("remove", name)
            }
            try exchange.allow(.get, .head, .delete)
            return try JSON.response(await service.nodeAnswer(name))
        case (2, "drain"):
            try exchange.allow(.post)
            try await service.drainNode(name)
            return accepted("drain", name)
        case (2, "undrain"):
            try exchange.allow(.post)
            try await service.undrainNode(name)
            return accepted("undrain", name)
        default:
            throw Problem.notFound(path: exchange.path)
        }
    }

    /// 202: the intention is stored, the moves follow.
    private func accepted(_ operation: String, _ name: String) -> Response {
        var json = JSONWriter()
        json.beginObject()
        json.name("node")
        json.string(name)
        json.name("accepted")
        json.string(operation)
        json.endObject()
        var response = CommonAnswers.document(json)
        response.status = .accepted
        return response
    }

    private func heartbeat(_ exchange: Exchange) async throws -> Response {
        try exchange.allow(.post)
        let body = try await exchange.body.collect(upTo: ControllerHandler.maximumHeartbeatLength)
        let heartbeat: Heartbeat
        do {
            heartbeat = try JSON.decode(Heartbeat.self, from: body)
        } catch {
            throw Problem.badRequest("malformed_heartbeat", "the body is no heartbeat of this version")
        }
        return try JSON.response(await service.receive(heartbeat))
    }

    static func problem(_ error: ControllerError) -> Problem {
        switch error.code {
        case .unknownNode: Problem(.notFound, error.code.rawValue, error.message)
        case .conflict: Problem(.conflict, error.code.rawValue, error.message)
        case .badKey: Problem(.badRequest, error.code.rawValue, error.message)
        case .notReady, .unavailable: .serviceUnavailable(error.code.rawValue, error.message)
        }
    }

    // MARK: The web page

    private func page(_ exchange: Exchange) throws -> Response {
        guard let asset = WebUI.asset(path: String(exchange.path)) else {
            throw Problem.notFound(path: exchange.path)
        }
        try exchange.allow(.get, .head)
        let headers: HTTPFields = [.contentType: asset.contentType, .eTag: asset.etag]
        let known = exchange.headers[.ifNoneMatch] ?? ""
        if known == "*" || known.contains(asset.etag) { return Response(status: .notModified, headers: headers) }
        return Response(
            status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: asset.bytes)))
    }
}
