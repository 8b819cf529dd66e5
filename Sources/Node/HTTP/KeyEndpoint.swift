internal import HTTPTypes
internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import KVReplication
internal import NIOCore

/// `/kv/{key}`: the hot path.
struct KeyEndpoint {
    /// Milliseconds that an operation may take when the client names no time.
    static let defaultTimeout = 5_000
    static let timeouts = 1...60_000

    let service: any NodeService
    let bounds: BodyBounds

    // MARK: Reading

    func get(_ exchange: Exchange, _ key: Key) async throws -> Response {
        let query = try QueryParameters(exchange.query, known: ["consistency", "node", "timeout"])
        let timeout = try query.timeout()
        let record: Record
        var leader: String?
        if try query.isLocal(service) {
            record = try await local(key)
        } else {
            let operation = Operation.get(key)
            let answer = await service.execute(operation, timeoutMilliseconds: timeout)
            leader = answer.leader
            guard case .value(let found) = try success(of: answer, to: operation) else { throw StatusMapping.absent }
            record = found
        }
        return try respond(exchange, key, record, leader)
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

    private func respond(_ exchange: Exchange, _ key: Key, _ record: Record, _ leader: String?) throws -> Response {
        let fields = exchange.headers
        if let tags = try fields[.ifMatch].map(EntityTags.init), !tags.matchesStrongly(record.version) {
            throw StatusMapping.conditionFailed(record.version).naming(leader)
        }
        var headers = HTTPFields()
        headers.reserveCapacity(16)
        headers.append(HTTPField(name: .eTag, value: record.version.entityTag))
        headers.append(leader: leader)
        if let tags = try fields[.ifNoneMatch].map(EntityTags.init), tags.matchesWeakly(record.version) {
            return Response(status: .notModified, headers: headers)
        }
        let value = record.value ?? []
        if fields[.accept]?.contains("application/octet-stream") == true {
            headers.append(.octetStream)
            headers.append(.attachment)
            if record.expiresAt != 0 {
                headers.append(HTTPField(name: .kvExpiresAt, value: String(record.expiresAt)))
            }
            return Response(
                status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: value)))
        }
        headers.append(.json)
        var json = JSONWriter(capacity: value.count + key.bytes.count + 128)
        json.beginObject()
        json.name("key")
        json.string(utf8: key.bytes)
        json.record(record, withValue: true)
        json.endObject()
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: json.finish()))
    }

    // MARK: Writing

    func put(_ exchange: Exchange, _ key: Key) async throws -> Response {
        let query = try QueryParameters(exchange.query, known: ["timeout", "ttl", "node"])
        let timeout = try query.timeout()
        try query.checkNode(service)
        let condition = try Condition(exchange.headers)
        let body = try await ValueBody.read(exchange, bounds, queryTTL: query.bytes("ttl"))
        return try await write(
            .put(key, value: body.value, expiresAt: ValueBody.expiry(body.ttl), condition), key, timeout)
    }

    /// Answers 204 also when the key had no value: what was asked for holds.
    func delete(_ exchange: Exchange, _ key: Key) async throws -> Response {
        let query = try QueryParameters(exchange.query, known: ["timeout", "node"])
        let timeout = try query.timeout()
        try query.checkNode(service)
        let operation = Operation.delete(key, try Condition(exchange.headers))
        let answer = await service.execute(operation, timeoutMilliseconds: timeout)
        _ = try success(of: answer, to: operation)
        var headers = HTTPFields()
        headers.append(leader: answer.leader)
        return Response(status: .noContent, headers: headers)
    }

    func increment(_ exchange: Exchange, _ key: Key) async throws -> Response {
        let query = try QueryParameters(exchange.query, known: ["timeout", "node"])
        let timeout = try query.timeout()
        try query.checkNode(service)
        guard exchange.headers[.ifMatch] == nil, exchange.headers[.ifNoneMatch] == nil else {
            throw Problem.badRequest("bad_condition", "an increment takes no condition")
        }
        var by: Int64 = 1
        let buffer = try await exchange.body.collect(upTo: 1_024)
        if buffer.readableBytes > 0 {
            do {
                try buffer.withJSON { (json: inout JSONScanner) throws(JSONError) in
                    try json.object { (name, json) throws(JSONError) in
                        guard name == "by" else { throw json.error("unknown member \"\(name)\"; by is known") }
                        by = try json.integer()
                    }
                }
            } catch {
                throw Problem.malformedJSON(error)
            }
        }
        return try await write(.increment(key, by: by), key, timeout)
    }

    private func write(_ operation: Operation, _ key: Key, _ timeout: Int) async throws -> Response {
        let answer = await service.execute(operation, timeoutMilliseconds: timeout)
        guard
            case .written(let status, let version, let acks, let required, let value) =
                try success(of: answer, to: operation)
        else {
            throw Problem(.internalServerError, "internal", "a read's outcome where a write's was expected")
        }
        var headers = HTTPFields()
        headers.reserveCapacity(16)
        headers.append(.json)
        headers.append(HTTPField(name: .eTag, value: version.entityTag))
        headers.append(leader: answer.leader)
        var json = JSONWriter(capacity: key.bytes.count + 128)
        json.beginObject()
        json.name("key")
        json.string(utf8: key.bytes)
        json.written(version, acks: acks, required: required, value: value)
        json.endObject()
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: json.finish()))
    }

    /// The outcome, or the problem that it is, which then names the leader.
    private func success(of answer: Answer, to operation: Operation) throws(Problem) -> StatusMapping.Success {
        do {
            return try StatusMapping.success(of: answer, to: operation)
        } catch {
            throw error.naming(answer.leader)
        }
    }
}

extension JSONWriter {
    /// The members that describe a record; `expires_at` in milliseconds since 1970.
    mutating func record(_ record: Record, withValue: Bool) {
        if withValue, let value = record.value { self.value(value) }
        name("version")
        string(record.version.description)
        if record.expiresAt != 0 {
            name("expires_at")
            integer(record.expiresAt)
        }
    }

    mutating func written(_ version: Version, acks: Int, required: Int, value: Int64?) {
        if let value {
            name("value")
            string(String(value))
        }
        name("version")
        string(version.description)
        name("acks")
        integer(acks)
        name("required")
        integer(required)
    }
}

extension HTTPFields {
    mutating func append(leader: String?) {
        if let leader { append(HTTPField(name: .kvLeader, value: leader)) }
    }
}

extension Problem {
    /// This problem, with the leader that decided it.
    func naming(_ leader: String?) -> Problem {
        var problem = self
        problem.headers.append(leader: leader)
        return problem
    }
}

extension QueryParameters {
    func timeout() throws(Problem) -> Int {
        if isEmpty { return KeyEndpoint.defaultTimeout }
        return try integer("timeout", in: KeyEndpoint.timeouts) ?? KeyEndpoint.defaultTimeout
    }

    /// Whether only this node's own data is asked for.
    func isLocal(_ service: any NodeService) throws(Problem) -> Bool {
        if isEmpty { return false }
        try checkNode(service)
        switch try text("consistency") {
        case nil, "linearizable": return false
        case "local": return true
        default: throw .badRequest("bad_parameter", "consistency must be linearizable or local")
        }
    }

    /// A node speaks for itself only.
    func checkNode(_ service: any NodeService) throws(Problem) {
        guard let node = try text("node"), node != service.name else { return }
        throw .badRequest(
            "another_node", "this is \(service.name); ask \(node.prefix(64)) itself, or the controller with ?node=")
    }
}

extension Condition {
    /// From `If-Match` and `If-None-Match` of a write.
    init(_ fields: HTTPFields) throws(Problem) {
        let match = fields[.ifMatch]
        guard let noneMatch = fields[.ifNoneMatch] else {
            guard let match else {
                self = .none
                return
            }
            switch try EntityTags(match) {
            case .any: self = .present
            case .versions(let strong, _): self = .version(strong)
            }
            return
        }
        guard match == nil, noneMatch == "*" else {
            throw .badRequest("bad_condition", "a write takes If-Match, or If-None-Match: *, not both")
        }
        self = .absent
    }
}
