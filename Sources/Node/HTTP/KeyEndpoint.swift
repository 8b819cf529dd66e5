internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import NIOCore

/// `/kv/{key}` for every kind of request: bodies of any length that is allowed, in chunks or asked for, local reads,
/// increments. What is short and simple does not come here, `KeyShortcut` takes it before.
struct KeyEndpoint {
    let service: any NodeService
    let bounds: BodyBounds

    func respond(_ exchange: Exchange) async throws -> Response {
        let request = try KeyRequest(PlainHead(exchange), service: service)
        if request.isLocal {
            return try request.document(of: try await local(request.key), leader: nil).response
        }
        var body = ByteBuffer()
        if let limit = request.bodyLimit(bounds) { body = try await exchange.body.collect(upTo: limit) }
        let operation = try request.operation(body, bounds)
        let answer = await service.execute(operation, timeoutMilliseconds: request.timeout)
        return try request.document(of: answer, to: operation).response
    }

    private func local(_ key: Key) async throws(Problem) -> Record {
        let record: Record?
        do {
            record = try await service.local(key)
        } catch {
            throw StatusMapping.problem(of: error, node: service.name)
        }
        guard let record, record.value != nil, record.expiresAt == 0 || record.expiresAt > wallMilliseconds() else {
            throw StatusMapping.absent
        }
        return record
    }
}
