internal import Hummingbird
internal import KVHTTP
internal import NIOCore

/// A value as a client wrote it: in JSON, or raw.
struct ValueBody {
    /// The longest time to live: a hundred years.
    static let maximumTTL = 3_153_600_000.0

    var value: [UInt8]
    /// In seconds.
    var ttl: Double?

    /// Whether a body of this media type is a JSON document about the value; any other is the value itself.
    /// `application/x-www-form-urlencoded` counts as JSON: it is what curl says when it is told nothing.
    static func isJSON(_ mediaType: String?) -> Bool {
        mediaType == "application/json" || mediaType == "application/x-www-form-urlencoded"
    }

    /// Reads a whole body: JSON with `value`, `encoding` and `ttl`, or the value itself.
    init(_ body: ByteBuffer, type: String?, queryTTL: [UInt8]?, _ bounds: BodyBounds) throws(Problem) {
        if ValueBody.isJSON(type) {
            guard queryTTL == nil else {
                throw .badRequest("bad_parameter", "in a JSON body, ttl is a member, not a query parameter")
            }
            self = try ValueBody.parse(body)
        } else {
            value = Array(body.readableBytesView)
            if let queryTTL { ttl = try ValueBody.parseTTL(queryTTL) }
        }
        guard value.count <= bounds.value else { throw ValueBody.tooLarge(value.count, bounds) }
    }

    private init(value: [UInt8], ttl: Double?) {
        self.value = value
        self.ttl = ttl
    }

    static func tooLarge(_ count: Int, _ bounds: BodyBounds) -> Problem {
        Problem(
            .contentTooLarge, "value_too_large", "the value has \(count) bytes; \(bounds.value) are allowed",
            outcome: .notApplied)
    }

    /// When a value with this time to live ends, in milliseconds since 1970; 0 means never.
    static func expiry(_ ttl: Double?) -> UInt64 {
        ttl.map { wallMilliseconds() + max(1, UInt64($0 * 1_000)) } ?? 0
    }

    private static func parse(_ buffer: ByteBuffer) throws(Problem) -> ValueBody {
        do {
            return try buffer.withJSON { (json: inout JSONScanner) throws(JSONError) in
                var members = ValueMembers()
                try json.object { (name, json) throws(JSONError) in
                    guard try members.read(name, &json) else {
                        throw json.error("unknown member \"\(name)\"; value, encoding and ttl are known")
                    }
                }
                guard let value = try members.value(&json) else { throw json.error("the member \"value\" is missing") }
                return ValueBody(value: value, ttl: members.ttl)
            }
        } catch {
            throw .malformedJSON(
                error, hint: "a JSON body is {\"value\":\"…\"}; to store it as it is, say Content-Type: text/plain")
        }
    }

    private static func parseTTL(_ bytes: [UInt8]) throws(Problem) -> Double {
        guard let ttl = Double(String(decoding: bytes, as: UTF8.self)), ttl > 0, ttl <= maximumTTL else {
            throw .badRequest("bad_parameter", "ttl must be a number of seconds above 0 and below a hundred years")
        }
        return ttl
    }
}

/// The members that describe a value, wherever they appear in JSON.
struct ValueMembers {
    private var text: [UInt8]?
    private var isBase64 = false
    private(set) var ttl: Double?

    /// Reads the value of member `name`; `false` when it is none of these.
    mutating func read(_ name: String, _ json: inout JSONScanner) throws(JSONError) -> Bool {
        switch name {
        case "value":
            text = try json.string("a string; other values are written as text")
        case "encoding":
            let start = json.offset
            switch String(decoding: try json.string(), as: UTF8.self) {
            case "base64": isBase64 = true
            case "utf-8": isBase64 = false
            default: throw json.error("encoding must be \"base64\" or \"utf-8\"", at: start)
            }
        case "ttl":
            let start = json.offset
            if json.acceptNull() { return true }
            let seconds = try json.double()
            guard seconds > 0, seconds <= ValueBody.maximumTTL else {
                throw json.error("ttl must be above 0 and at most a hundred years of seconds", at: start)
            }
            ttl = seconds
        default: return false
        }
        return true
    }

    /// The decoded value; `nil` when there was none.
    func value(_ json: inout JSONScanner) throws(JSONError) -> [UInt8]? {
        guard let text, isBase64 else { return text }
        guard let decoded = Base64.decode(text) else { throw json.error("the value is not base64 with padding") }
        return decoded
    }
}

extension ByteBuffer {
    /// Reads the whole buffer as one JSON document.
    func withJSON<Result>(
        _ body: (inout JSONScanner) throws(JSONError) -> Result
    ) throws(JSONError) -> Result {
        let result = withUnsafeReadableBytes { bytes in
            Swift.Result { () throws(JSONError) in
                var json = JSONScanner(bytes)
                let result = try body(&json)
                try json.finish()
                return result
            }
        }
        return try result.get()
    }
}
