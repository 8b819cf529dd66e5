package import HTTPTypes

/// The few parts of a request's head that a resource looks at, gathered in one pass.
package struct PlainHead: Sendable {
    package let method: HTTPRequest.Method
    /// The path as it was sent, neither decoded nor normalised.
    package let path: Substring
    /// What follows the first `?`, as it was sent.
    package let query: Substring?
    package internal(set) var accept: String?
    /// Set by `find` only.
    var host: String?
    package internal(set) var contentType: String?
    package internal(set) var ifMatch: String?
    package internal(set) var ifNoneMatch: String?
    package internal(set) var requestID: String?
    package internal(set) var contentLength = 0
    /// The client wants the connection to end with the answer. Set by `find` only.
    var ends = false

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

    /// A head read from bytes; only `PlainHead.find` makes one.
    init(_ method: HTTPRequest.Method, path: String, query: String?) {
        self.method = method
        self.path = path[...]
        self.query = query?[...]
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
