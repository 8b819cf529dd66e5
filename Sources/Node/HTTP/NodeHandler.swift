internal import HTTPTypes
internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols

/// Finds the endpoint of a request. Paths are compared as sent: only what follows `/kv/` is ever decoded.
struct NodeHandler: HTTPHandler {
    let service: any NodeService
    let metrics: RequestMetrics
    let servedBy: HTTPField
    let bounds: BodyBounds

    init(service: any NodeService, maximumBodyLength: Int?, metrics: RequestMetrics) {
        self.service = service
        self.metrics = metrics
        servedBy = HTTPField(name: .kvServedBy, value: service.name)
        bounds = BodyBounds(maximumValueLength: service.maximumValueLength, maximumBodyLength: maximumBodyLength)
    }

    func route(of path: Substring) -> Int {
        if path.hasPrefix("/kv/") { return NodeRoute.kv.index }
        return switch path {
        case "/keys": NodeRoute.keys.index
        case "/batch": NodeRoute.batch.index
        case "/replicas": NodeRoute.replicas.index
        default: NodeRoute.other.index
        }
    }

    func handle(_ exchange: Exchange) async throws -> Response {
        do {
            var response = try await dispatch(exchange)
            response.headers.append(servedBy)
            return response
        } catch var problem as Problem {
            problem.headers.append(servedBy)
            throw problem
        }
    }

    private func dispatch(_ exchange: Exchange) async throws -> Response {
        if exchange.path.hasPrefix("/kv/") {
            return try await KeyEndpoint(service: service, bounds: bounds).respond(exchange)
        }
        switch exchange.path {
        case "/keys": return try await KeysEndpoint(service: service).respond(exchange)
        case "/batch": return try await BatchEndpoint(service: service, bounds: bounds).respond(exchange)
        case "/replicas": return try await ReplicasEndpoint(service: service).respond(exchange)
        default: return try await StatusEndpoints(service: service, metrics: metrics).respond(exchange)
        }
    }
}

/// How keys stand in paths: percent-decoded once, several segments allowed, nothing normalised. `POST` to a path that
/// ends in `/increment` increments the key before it; a key that itself ends so is reached by the other methods.
enum KeyPath {
    static func key(_ raw: Substring.UTF8View) throws(Problem) -> Key {
        guard let bytes = percentDecoded(raw) else {
            throw .badRequest("bad_key", "the path holds a '%' that is not followed by two hexadecimal digits")
        }
        return try key(bytes)
    }

    static func key(_ bytes: [UInt8]) throws(Problem) -> Key {
        do {
            return try Key(validating: bytes)
        } catch {
            throw .badRequest("bad_key", error.description)
        }
    }
}

/// How long bodies may be, in bytes.
struct BodyBounds {
    let value: Int
    /// Any body. JSON escapes make a value longer; a value that is mostly escapes and does not fit is sent raw.
    let json: Int

    /// Without a longest body, there is room for a value as base64 in JSON and as much again for small ones in a batch.
    init(maximumValueLength: Int, maximumBodyLength: Int?) {
        json = maximumBodyLength ?? 2 * maximumValueLength + 1 << 20
        value = min(maximumValueLength, json)
    }
}
