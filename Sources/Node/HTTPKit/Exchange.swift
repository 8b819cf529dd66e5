package import Hummingbird
package import HTTPTypes

/// One request on its way through a handler. Belongs to one task.
package struct Exchange {
    package let request: Request
    /// The path as it was sent, neither decoded nor normalised: `/kv//a%2Fb`.
    package let path: Substring
    /// What follows the first `?`, as it was sent.
    package let query: Substring?
    /// The client's `X-Request-Id`, or one of our own.
    package let id: String
    package let body: BodyReader

    init(_ request: Request, id: String, limits: HTTPServerLimits) {
        self.request = request
        self.id = id
        let target = Exchange.originForm(request.head.path ?? "")
        if let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = target[..<mark]
            query = target[target.utf8.index(after: mark)...]
        } else {
            path = target
            query = nil
        }
        body = BodyReader(request, limits: limits)
    }

    package var method: HTTPRequest.Method { request.head.method }
    package var headers: HTTPFields { request.head.headerFields }

    /// The media type of the body in lower case without its parameters; `nil` when the request names none.
    package var mediaType: String? {
        headers[.contentType].flatMap(mediaTypeName)
    }

    /// - Throws: 405 that names `methods` when this request's is none of them.
    package func allow(_ methods: HTTPRequest.Method...) throws(Problem) {
        guard !methods.contains(method) else { return }
        throw .methodNotAllowed(methods.map(\.rawValue).joined(separator: ", "))
    }

    /// The part of the target that a server looks at: of `http://host/path?query`, as a proxy would send it, the path
    /// and the query.
    private static func originForm(_ target: String) -> Substring {
        guard !target.hasPrefix("/"), let scheme = target.range(of: "://") else { return target[...] }
        let rest = target[scheme.upperBound...]
        guard let slash = rest.firstIndex(of: "/") else { return "/" }
        return rest[slash...]
    }
}

extension String {
    /// The first place of `text`; what Foundation offers under this name, without Foundation.
    fileprivate func range(of text: StaticString) -> Range<Index>? {
        let pattern = text.description
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(pattern) {
                return start..<index(start, offsetBy: pattern.count)
            }
            start = index(after: start)
        }
        return nil
    }
}
