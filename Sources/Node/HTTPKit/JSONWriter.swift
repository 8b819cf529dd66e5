package import NIOCore

/// Writes JSON straight into a buffer, without an encoder or intermediate values: answers to `/kv` are made on the hot
/// path. The caller gives the structure; commas between members and elements are set here.
package struct JSONWriter {
    package private(set) var buffer: ByteBuffer
    private var needsComma = false

    /// `capacity` in bytes saves growing; it is no limit.
    package init(capacity: Int = 256) {
        buffer = ByteBufferAllocator().buffer(capacity: capacity)
    }

    package mutating func beginObject() { open(UInt8(ascii: "{")) }
    package mutating func endObject() { close(UInt8(ascii: "}")) }
    package mutating func beginArray() { open(UInt8(ascii: "[")) }
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    /// A member's name; plain ASCII that needs no escape.
    package mutating func name(_ name: StaticString) {
        separate()
        buffer.writeInteger(UInt8(ascii: "\""))
        buffer.writeStaticString(name)
        buffer.writeStaticString("\":")
        needsComma = false
    }

    package mutating func string(_ text: String) {
        separate()
        var text = text
        text.withUTF8 { escape(UnsafeRawBufferPointer($0)) }
    }

    /// `bytes` must be valid UTF-8.
    package mutating func string(utf8 bytes: [UInt8]) {
        separate()
        bytes.withUnsafeBytes { escape($0) }
    }

    package mutating func integer(_ number: some BinaryInteger) {
        separate()
        buffer.writeString(String(number))
    }

    package mutating func boolean(_ value: Bool) {
        separate()
        buffer.writeStaticString(value ? "true" : "false")
    }

    package mutating func null() {
        separate()
        buffer.writeStaticString("null")
    }

    /// Bytes that are JSON already.
    package mutating func raw(_ json: [UInt8]) {
        separate()
        buffer.writeBytes(json)
    }

    /// A line end after the document, so that it reads well in a terminal.
    package mutating func finish() -> ByteBuffer {
        buffer.writeInteger(UInt8(ascii: "\n"))
        return buffer
    }

    private mutating func open(_ byte: UInt8) {
        separate()
        buffer.writeInteger(byte)
        needsComma = false
    }

    private mutating func close(_ byte: UInt8) {
        buffer.writeInteger(byte)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
        needsComma = true
    }

    /// Copies runs that need no escape as a whole.
    private mutating func escape(_ bytes: UnsafeRawBufferPointer) {
        buffer.writeInteger(UInt8(ascii: "\""))
        var start = 0
        for index in 0..<bytes.count {
            let byte = bytes[index]
            guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            if start < index { buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<index])) }
            start = index + 1
            switch byte {
            case UInt8(ascii: "\""): buffer.writeStaticString("\\\"")
            case UInt8(ascii: "\\"): buffer.writeStaticString("\\\\")
            case 0x0A: buffer.writeStaticString("\\n")
            case 0x0D: buffer.writeStaticString("\\r")
            case 0x09: buffer.writeStaticString("\\t")
            default:
                buffer.writeStaticString("\\u00")
                buffer.writeInteger(JSONWriter.hexadecimal(byte >> 4))
                buffer.writeInteger(JSONWriter.hexadecimal(byte & 0xF))
            }
        }
        if start < bytes.count { buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start...])) }
        buffer.writeInteger(UInt8(ascii: "\""))
    }

    private static func hexadecimal(_ nibble: UInt8) -> UInt8 {
        nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
    }
}

extension JSONWriter {
    /// The members `value` and, when the bytes are no text, `encoding`: text in, text out.
    package mutating func value(_ bytes: [UInt8]) {
        name("value")
        if isUTF8(bytes) {
            string(utf8: bytes)
        } else {
            string(utf8: Base64.encode(bytes))
            name("encoding")
            string("base64")
        }
    }
}

/// Whether the bytes are valid UTF-8. ASCII is decided without a copy.
package func isUTF8(_ bytes: [UInt8]) -> Bool {
    var high: UInt8 = 0
    for byte in bytes { high |= byte }
    return high < 0x80 || String(validating: bytes, as: UTF8.self) != nil
}
