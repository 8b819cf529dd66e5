internal import HTTPTypes
internal import NIOCore

/// What the connections of one server share.
struct ServerCommons: Sendable {
    let limits: HTTPServerLimits
    let hosts: AcceptedHosts
    let metrics: RequestMetrics
    let requestIDs = RequestIDs()
    let dates = DateField()

    /// Adds what every answer carries.
    func complete(_ headers: inout HTTPFields, requestID: String) {
        headers.append(contentsOf: HTTPField.security)
        headers.append(HTTPField(name: .date, value: dates.value))
        headers.append(HTTPField(name: .requestID, value: requestID))
    }

    /// A whole answer as it goes over the wire, completed like every other.
    func bytes(of document: Document, requestID: String, isHead: Bool, ends: Bool) -> ByteBuffer {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512 + (isHead ? 0 : document.body.count))
        document.write(to: &bytes, lines: dates.lines, requestID: requestID, isHead: isHead, ends: ends)
        return ByteBuffer(bytes: bytes)
    }
}
