internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import KVHTTP
internal import NIOCore

/// JSON of values that are `Codable`; the controller's answers are not on a hot path.
enum JSON {
    /// Keys are sorted, so that equal values have equal bytes.
    static func encode(_ value: any Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from buffer: ByteBuffer) throws -> Value {
        try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
    }

    static func response(_ value: any Encodable) throws -> Response {
        var body = ByteBuffer(bytes: try encode(value))
        body.writeInteger(UInt8(ascii: "\n"))
        return Response(
            status: .ok, headers: [.contentType: HTTPField.json.value], body: ResponseBody(byteBuffer: body))
    }
}
