package import HTTPTypes
internal import NIOHTTP1

/// The few parts of a request's head that a resource looks at, gathered in one pass.
package struct PlainHead: Sendable {
    package let method: HTTPRequest.Method
    /// The path as it was sent, neither decoded nor normalised.
    package let path: Substring
    /// What follows the first `?`, as it was sent.
    package let query: Substring?
    package private(set) var accept: String?
    private(set) var host: String?
    package private(set) var contentType: String?
    package private(set) var ifMatch: String?
    package private(set) var ifNoneMatch: String?
    package private(set) var requestID: String?
    package private(set) var contentLength = 0
    /// The client wants the connection to end with the answer.
    private(set) var ends = false

    package init(_ exchange: Exchange) {
        method = exchange.method
        path = exchange.path
        query = exchange.query
        let fields = exchange.headers
        accept = fields[.accept]
        contentType = fields[.contentType]
        ifMatch = fields[.ifMatch]
        ifNoneMatch = fields[.ifNoneMatch]
        requestID = exchange.id
        contentLength = exchange.body.announcedLength ?? 0
    }

    /// `nil` for everything that needs more than a look: another version, a connection that shall change, a body
    /// of unknown length or one that waits to be asked for, a page's origin, a target that is no path, a field twice.
    init?(_ head: HTTPRequestHead) {
        switch head.method {
        case .GET: method = .get
        case .HEAD: method = .head
        case .PUT: method = .put
        case .DELETE: method = .delete
        default: return nil
        }
        guard head.version == .http1_1, head.uri.utf8.first == UInt8(ascii: "/") else { return nil }
        if let mark = head.uri.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = head.uri[..<mark]
            query = head.uri[head.uri.utf8.index(after: mark)...]
        } else {
            path = head.uri[...]
            query = nil
        }
        var length: String?
        for (name, value) in head.headers {
            let isFine =
                switch name.utf8.count {
                case 4: Self.take(name, "host", value, &host)
                case 6: !name.isField("expect") && !name.isField("origin") && Self.take(name, "accept", value, &accept)
                case 7: !name.isField("upgrade")
                case 8: Self.take(name, "if-match", value, &ifMatch)
                case 10: !name.isField("connection") || value.isField("keep-alive") || takeEnd(value)
                case 12:
                    Self.take(name, "content-type", value, &contentType)
                        && Self.take(name, "x-request-id", value, &requestID)
                case 13: Self.take(name, "if-none-match", value, &ifNoneMatch)
                case 14: Self.take(name, "content-length", value, &length)
                case 17: !name.isField("transfer-encoding")
                default: true
                }
            guard isFine else { return nil }
        }
        if let length {
            guard let number = Int(length), number >= 0 else { return nil }
            contentLength = number
        }
        if let id = requestID, !RequestIDs.isValid(id) { requestID = nil }
    }

    private mutating func takeEnd(_ value: String) -> Bool {
        ends = value.isField("close")
        return ends
    }

    /// `false` when the field is there already.
    private static func take(_ name: String, _ expected: StaticString, _ value: String, _ place: inout String?) -> Bool
    {
        guard name.isField(expected) else { return true }
        guard place == nil else { return false }
        place = value
        return true
    }

    /// The media type of the body in lower case without its parameters; `nil` when the request names none.
    package var mediaType: String? { contentType.flatMap(mediaTypeName) }
}

/// The type of a `Content-Type` field in lower case, without its parameters.
func mediaTypeName(_ field: String) -> String? {
    if field == "application/json" { return field }
    let type = field.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }
    return type.isEmpty ? nil : type.lowercased()
}

extension String {
    /// Whether this is `expected`, which is given in lower case, in any case of ASCII letters.
    func isField(_ expected: StaticString) -> Bool {
        guard utf8.count == expected.utf8CodeUnitCount else { return false }
        var place = expected.utf8Start
        for byte in utf8 {
            let lower = byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
            guard lower == place.pointee else { return false }
            place += 1
        }
        return true
    }
}
