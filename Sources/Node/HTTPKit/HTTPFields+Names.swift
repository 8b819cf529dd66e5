package import HTTPTypes

extension HTTPField.Name {
    /// The node that answered.
    package static let kvServedBy = fixed("KV-Served-By")
    /// The leader that decided.
    package static let kvLeader = fixed("KV-Leader")
    /// Milliseconds since 1970 after which a raw value counts as deleted.
    package static let kvExpiresAt = fixed("KV-Expires-At")
    package static let requestID = fixed("X-Request-Id")
    package static let lastEventID = fixed("Last-Event-ID")
    static let frameOptions = fixed("X-Frame-Options")
    static let referrerPolicy = fixed("Referrer-Policy")
    package static let host = fixed("Host")

    private static func fixed(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("a field name of our own is valid") }
        return name
    }
}

extension HTTPField {
    package static let json = HTTPField(name: .contentType, value: "application/json")
    package static let attachment = HTTPField(name: .contentDisposition, value: "attachment")
    package static let eventStream = HTTPField(name: .contentType, value: "text/event-stream")
    package static let prometheus = HTTPField(name: .contentType, value: "text/plain; version=0.0.4; charset=utf-8")
    package static let connectionClose = HTTPField(name: .connection, value: "close")

    /// On every answer, errors included: nothing that is stored may be taken for a page or a script.
    static let security: [HTTPField] = [
        HTTPField(name: .xContentTypeOptions, value: "nosniff"),
        HTTPField(name: .contentSecurityPolicy, value: "default-src 'self'"),
        HTTPField(name: .referrerPolicy, value: "no-referrer"),
        HTTPField(name: .frameOptions, value: "DENY"),
        HTTPField(name: .cacheControl, value: "no-cache"),
    ]
}
