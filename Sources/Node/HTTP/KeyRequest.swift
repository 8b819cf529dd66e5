internal import HTTPTypes
internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import KVReplication
internal import NIOCore

/// What a request to `/kv/{key}` asks for, whoever has parsed it.
struct KeyRequest {
    /// Milliseconds that an operation may take when the client names no time.
    static let defaultTimeout = 5_000
    static let timeouts = 1...60_000
    private static let path: StaticString = "/kv/"
    private static let increment: StaticString = "/increment"

    private enum Verb {
        case get, put, delete, increment
    }

    let key: Key
    let accept: String?
    let ifMatch: String?
    let ifNoneMatch: String?
    /// Of the body.
    private let mediaType: String?
    let timeout: Int
    /// Only what this node itself holds is asked for.
    let isLocal: Bool
    private let verb: Verb
    private let ttl: [UInt8]?

    /// - Throws: 400 for a key or a parameter that can't be, 405 for a method that this path doesn't know.
    init(_ head: PlainHead, service: any NodeService) throws(Problem) {
        // Bytes, not characters: where one of those ends takes long to say.
        let rest = head.path.utf8.dropFirst(KeyRequest.path.utf8CodeUnitCount)
        switch head.method {
        case .get, .head: verb = .get
        case .put: verb = .put
        case .delete: verb = .delete
        case .post where KeyRequest.isIncrement(rest): verb = .increment
        default:
            throw .methodNotAllowed("GET, HEAD, PUT, DELETE" + (KeyRequest.isIncrement(rest) ? ", POST" : ""))
        }
        (accept, ifMatch, ifNoneMatch) = (head.accept, head.ifMatch, head.ifNoneMatch)
        mediaType = verb == .put ? head.mediaType : nil
        key = try KeyPath.key(verb == .increment ? rest.dropLast(KeyRequest.increment.utf8CodeUnitCount) : rest)
        guard head.query != nil else {
            (timeout, isLocal, ttl) = (KeyRequest.defaultTimeout, false, nil)
            return
        }
        let own =
            switch verb {
            case .get: ["consistency"]
            case .put: ["ttl"]
            case .delete, .increment: [String]()
            }
        let query = try QueryParameters(head.query, known: own + ["node", "timeout"])
        timeout = try query.timeout()
        isLocal = try query.isLocal(service)
        ttl = query.bytes("ttl")
    }

    private static func isIncrement(_ rest: Substring.UTF8View) -> Bool {
        rest.suffix(increment.utf8CodeUnitCount).elementsEqual(increment.description.utf8)
    }

    /// The longest body that belongs to it, in bytes; `nil` when none does.
    func bodyLimit(_ bounds: BodyBounds) -> Int? {
        switch verb {
        case .get, .delete: nil
        case .put: ValueBody.isJSON(mediaType) ? bounds.json : bounds.value
        case .increment: 1_024
        }
    }

    /// - Throws: 400 or 413 for a body or a condition that can't be.
    func operation(_ body: ByteBuffer, _ bounds: BodyBounds) throws(Problem) -> Operation {
        switch verb {
        case .get: return .get(key)
        case .delete: return .delete(key, try Condition(ifMatch: ifMatch, ifNoneMatch: ifNoneMatch))
        case .put:
            let condition = try Condition(ifMatch: ifMatch, ifNoneMatch: ifNoneMatch)
            let body = try ValueBody(body, type: mediaType, queryTTL: ttl, bounds)
            return .put(key, value: body.value, expiresAt: ValueBody.expiry(body.ttl), condition)
        case .increment:
            guard ifMatch == nil, ifNoneMatch == nil else {
                throw .badRequest("bad_condition", "an increment takes no condition")
            }
            return .increment(key, by: try step(body))
        }
    }

    private func step(_ body: ByteBuffer) throws(Problem) -> Int64 {
        guard body.readableBytes > 0 else { return 1 }
        do {
            return try body.withJSON { (json: inout JSONScanner) throws(JSONError) in
                var by: Int64 = 1
                try json.object { (name, json) throws(JSONError) in
                    guard name == "by" else { throw json.error("unknown member \"\(name)\"; by is known") }
                    by = try json.integer()
                }
                return by
            }
        } catch {
            throw .malformedJSON(error)
        }
    }
}

extension QueryParameters {
    func timeout() throws(Problem) -> Int {
        try integer("timeout", in: KeyRequest.timeouts) ?? KeyRequest.defaultTimeout
    }

    /// Whether only this node's own data is asked for.
    func isLocal(_ service: any NodeService) throws(Problem) -> Bool {
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
    fileprivate init(ifMatch: String?, ifNoneMatch: String?) throws(Problem) {
        guard let noneMatch = ifNoneMatch else {
            guard let match = ifMatch else {
                self = .none
                return
            }
            switch try EntityTags(match) {
            case .any: self = .present
            case .versions(let strong, _): self = .version(strong)
            }
            return
        }
        guard ifMatch == nil, noneMatch == "*" else {
            throw .badRequest("bad_condition", "a write takes If-Match, or If-None-Match: *, not both")
        }
        self = .absent
    }
}
