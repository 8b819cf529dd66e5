package import HTTPTypes
package import Hummingbird
package import NIOCore

/// An answer whose body is there as a whole.
package struct Document: Sendable {
    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    package var body: ByteBuffer

    package init(_ status: HTTPResponse.Status, headers: HTTPFields = [:], body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package var response: Response {
        Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
    }

    /// Whether RFC 9110 forbids a body, and with it `Content-Length`.
    var isBodiless: Bool { status == .noContent || status == .notModified }
}
