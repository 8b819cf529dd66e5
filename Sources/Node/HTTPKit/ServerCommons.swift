internal import HTTPTypes
internal import NIOCore

/// What the connections of one server share.
struct ServerCommons: Sendable {
    let limits: HTTPServerLimits
    let hosts: AcceptedHosts
    let metrics: RequestMetrics
    let requestIDs = RequestIDs()
    let dates = DateField()

    /// The security fields as they stand in an answer.
    private static let security = HTTPField.security.map { "\($0.name.rawName): \($0.value)\r\n" }.joined()

    /// Adds what every answer carries.
    func complete(_ headers: inout HTTPFields, requestID: String) {
        headers.append(contentsOf: HTTPField.security)
        headers.append(HTTPField(name: .date, value: dates.value))
        headers.append(HTTPField(name: .requestID, value: requestID))
    }

    /// A whole answer as it goes over the wire, completed like every other. Fields of `document` must be our own: they
    /// are not searched for line ends.
    func bytes(
        of document: Document, requestID: String, isHead: Bool, ends: Bool, allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        let length = document.body.readableBytes
        var buffer = allocator.buffer(capacity: 512 + (isHead ? 0 : length))
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeString(String(document.status.code))
        buffer.writeStaticString(" ")
        buffer.writeString(document.status.reasonPhrase)
        buffer.writeStaticString("\r\n")
        for field in document.headers {
            buffer.writeString(field.name.rawName)
            buffer.writeStaticString(": ")
            buffer.writeString(field.value)
            buffer.writeStaticString("\r\n")
        }
        if !document.isBodiless {
            buffer.writeStaticString("Content-Length: ")
            buffer.writeString(String(length))
            buffer.writeStaticString("\r\n")
        }
        if ends { buffer.writeStaticString("Connection: close\r\n") }
        buffer.writeString(ServerCommons.security)
        buffer.writeStaticString("Date: ")
        buffer.writeString(dates.value)
        buffer.writeStaticString("\r\nX-Request-Id: ")
        buffer.writeString(requestID)
        buffer.writeStaticString("\r\n\r\n")
        if !isHead, !document.isBodiless { buffer.writeImmutableBuffer(document.body) }
        return buffer
    }
}
