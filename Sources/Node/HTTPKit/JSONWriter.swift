package import KVProtocols
package import NIOCore

/// Writes JSON as bytes, without an encoder or intermediate values: answers to `/kv` are made on the hot path. The caller gives the structure; commas between members and elements are set here.
package struct JSONWriter {
    private var bytes: [UInt8] = []
    private var needsComma = false

    /// `capacity` in bytes saves growing; it is no limit.
    package init(capacity: Int = 256) {
        bytes.reserveCapacity(capacity)
    }

    package mutating func beginObject() { open(UInt8(ascii: "{")) }
    package mutating func endObject() { close(UInt8(ascii: "}")) }
    package mutating func beginArray() { open(UInt8(ascii: "[")) }
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    /// A member's name; plain ASCII that needs no escape.
    package mutating func name(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(name)
        bytes.append("\":")
        needsComma = false
    }

    package mutating func string(_ text: String) {
        separate()
        var text = text
        text.withUTF8 { escape(UnsafeRawBufferPointer($0)) }
    }

    /// `bytes` must be valid UTF-8.
    package mutating func string(utf8 text: [UInt8]) {
        separate()
        text.withUnsafeBytes { escape($0) }
    }

    /// The version's text form.
    package mutating func string(_ version: Version) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(version)
        bytes.append(UInt8(ascii: "\""))
    }

    package mutating func integer(_ number: some BinaryInteger) {
        separate()
        if let natural = UInt64(exactly: number) {
            bytes.append(decimal: natural)
        } else {
            bytes.append(text: String(number))
        }
    }

    package mutating func boolean(_ value: Bool) {
        separate()
        bytes.append(value ? "true" : "false")
    }

    package mutating func null() {
        separate()
        bytes.append("null")
    }

    /// Bytes that are JSON already.
    package mutating func raw(_ json: [UInt8]) {
        separate()
        bytes += json
    }

    /// The document, and a line end after it, so that it reads well in a terminal. Nothing can be written afterwards.
    package mutating func finishBytes() -> [UInt8] {
        bytes.append(UInt8(ascii: "\n"))
        defer { bytes = [] }
        return bytes
    }

    package mutating func finish() -> ByteBuffer { ByteBuffer(bytes: finishBytes()) }

    private mutating func open(_ byte: UInt8) {
        separate()
        bytes.append(byte)
        needsComma = false
    }

    private mutating func close(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    /// Copies runs that need no escape as a whole.
    private mutating func escape(_ text: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        defer { bytes.append(UInt8(ascii: "\"")) }
        // Without a branch, so that the processor looks at many bytes at once; mostly there is nothing to escape.
        var escapes: UInt8 = 0
        for byte in text {
            let isSpecial = byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
            escapes |= (byte < 0x20 ? 1 : 0) | (isSpecial ? 1 : 0)
        }
        guard escapes != 0 else { return bytes.append(contentsOf: text) }
        var start = 0
        for index in 0..<text.count {
            let byte = text[index]
            guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            if start < index { bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[start..<index])) }
            start = index + 1
            switch byte {
            case UInt8(ascii: "\""): bytes.append("\\\"")
            case UInt8(ascii: "\\"): bytes.append("\\\\")
            case 0x0A: bytes.append("\\n")
            case 0x0D: bytes.append("\\r")
            case 0x09: bytes.append("\\t")
            default:
                bytes.append("\\u00")
                bytes.append(JSONWriter.hexadecimal(byte >> 4))
                bytes.append(JSONWriter.hexadecimal(byte & 0xF))
            }
        }
        if start < text.count { bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[start...])) }
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
