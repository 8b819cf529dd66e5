package import HTTPTypes
package import Hummingbird
package import KVProtocols
internal import NIOCore

/// An answer whose body is there as a whole. What most answers of `/kv` carry has a place of its own, so that making one
/// costs no list of fields.
package struct Document: Sendable {
    package enum ContentType: String, Sendable {
        case json = "application/json"
        case problemJSON = "application/problem+json"
        case octetStream = "application/octet-stream"
    }

    package var status: HTTPResponse.Status
    /// Of the record that this is about; its `ETag`.
    package var version: Version?
    /// The leader that decided.
    package var leader: String?
    /// The node that answers.
    package var server: String?
    package var contentType: ContentType?
    /// What else belongs to it.
    package var fields: [HTTPField]
    package var body: [UInt8]

    package init(
        _ status: HTTPResponse.Status, version: Version? = nil, leader: String? = nil, contentType: ContentType? = nil,
        fields: [HTTPField] = [], body: [UInt8] = []
    ) {
        self.status = status
        self.version = version
        self.leader = leader
        self.contentType = contentType
        self.fields = fields
        self.body = body
    }

    /// For the general path.
    package var response: Response {
        var headers = HTTPFields()
        if let version { headers.append(HTTPField(name: .eTag, value: version.entityTag)) }
        if let leader { headers.append(HTTPField(name: .kvLeader, value: leader)) }
        if let server { headers.append(HTTPField(name: .kvServedBy, value: server)) }
        if let contentType { headers.append(HTTPField(name: .contentType, value: contentType.rawValue)) }
        headers.append(contentsOf: fields)
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    /// Whether RFC 9110 forbids a body, and with it `Content-Length`.
    private var isBodiless: Bool { status == .noContent || status == .notModified }

    /// Appends the whole answer as it goes over the wire, with `lines`, which every answer carries. Names and values must
    /// be free of line ends, as `HTTPField`, names of nodes and valid request names are: they are not searched for them.
    func write(to bytes: inout [UInt8], lines: [UInt8], requestID: String, isHead: Bool, ends: Bool) {
        writeStatus(to: &bytes)
        if let version {
            bytes.append("ETag: \"")
            bytes.append(version)
            bytes.append("\"\r\n")
        }
        // A name out of a map that came over the network.
        if let leader, leader.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) {
            Self.write("KV-Leader: ", leader, to: &bytes)
        }
        if let server { Self.write("KV-Served-By: ", server, to: &bytes) }
        if let contentType { Self.write("Content-Type: ", contentType.rawValue, to: &bytes) }
        for field in fields {
            bytes.append(text: field.name.rawName)
            Self.write(": ", field.value, to: &bytes)
        }
        if !isBodiless {
            bytes.append("Content-Length: ")
            bytes.append(decimal: UInt64(body.count))
            bytes.append("\r\n")
        }
        if ends { bytes.append("Connection: close\r\n") }
        bytes += lines
        Self.write("X-Request-Id: ", requestID, to: &bytes)
        bytes.append("\r\n")
        if !isHead, !isBodiless { bytes += body }
    }

    private func writeStatus(to bytes: inout [UInt8]) {
        if status == .ok { return bytes.append("HTTP/1.1 200 OK\r\n") }
        bytes.append("HTTP/1.1 ")
        bytes.append(decimal: UInt64(status.code))
        Self.write(" ", status.reasonPhrase, to: &bytes)
    }

    private static func write(_ name: StaticString, _ value: String, to bytes: inout [UInt8]) {
        bytes.append(name)
        bytes.append(text: value)
        bytes.append("\r\n")
    }
}
