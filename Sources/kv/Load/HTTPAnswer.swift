import NIOCore

/// One HTTP/1.1 answer, read with as little work as measuring allows: the generator shares the machine with what it measures.
struct HTTPAnswer {
    var status: Int
    /// The value of the field asked for; empty when there is none.
    var field: [UInt8]
    private var body: ByteBuffer

    /// Takes an answer from the front of `buffer`.
    /// - Parameter name: of a field whose value is wanted, in lower case.
    /// - Returns: `nil` when the answer is not all there; then nothing was taken.
    static func take(from buffer: inout ByteBuffer, field name: String? = nil) throws(LoadProtocolError) -> HTTPAnswer?
    {
        guard let head = try Head.read(buffer.readableBytesView, field: name) else { return nil }
        if head.isChunked {
            guard let (body, length) = try unchunked(buffer, from: head.length) else { return nil }
            buffer.moveReaderIndex(forwardBy: length)
            return HTTPAnswer(status: head.status, field: head.field, body: body)
        }
        guard buffer.readableBytes >= head.length + head.bodyLength else { return nil }
        buffer.moveReaderIndex(forwardBy: head.length)
        guard let body = buffer.readSlice(length: head.bodyLength) else { return nil }
        return HTTPAnswer(status: head.status, field: head.field, body: body)
    }

    func contains(_ text: StaticString) -> Bool { place(of: text) != nil }

    /// What stands between the first `text` and the next quotation mark.
    func text(after text: StaticString) -> [UInt8]? {
        guard let place = place(of: text) else { return nil }
        let view = body.readableBytesView.dropFirst(place + text.utf8CodeUnitCount)
        guard let end = view.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
        return Array(view[..<end])
    }

    private func place(of text: StaticString) -> Int? {
        body.withUnsafeReadableBytes { bytes in
            text.withUTF8Buffer { wanted in
                guard bytes.count >= wanted.count else { return nil }
                return (0...(bytes.count - wanted.count)).first { start in
                    bytes[start] == wanted[0] && wanted.indices.allSatisfy { bytes[start + $0] == wanted[$0] }
                }
            }
        }
    }

    /// The body that the chunks from `start` on make, and how long all is.
    private static func unchunked(
        _ buffer: ByteBuffer, from start: Int
    ) throws(LoadProtocolError) -> (ByteBuffer, Int)? {
        let bytes = buffer.readableBytesView
        var body = ByteBuffer()
        var place = bytes.startIndex + start
        while true {
            guard let (line, data) = try line(bytes, from: place) else { return nil }
            let count = try chunkLength(line)
            if count == 0 {
                place = data
                break
            }
            guard count <= LoadLimits.longestBody - body.readableBytes else {
                throw LoadProtocolError("an answer in chunks is too long")
            }
            // The chunk, then its line's end.
            let next = data + count + 2
            guard next <= bytes.endIndex else { return nil }
            guard bytes[next - 2] == UInt8(ascii: "\r"), bytes[next - 1] == UInt8(ascii: "\n") else {
                throw LoadProtocolError("a chunk is longer than it says")
            }
            body.writeBytes(bytes[data..<(next - 2)])
            place = next
        }
        // Fields may follow the last chunk, then an empty line.
        while let (line, next) = try line(bytes, from: place) {
            if line.isEmpty { return (body, next - bytes.startIndex) }
            place = next
        }
        return nil
    }

    private static func chunkLength(_ line: ByteBufferView) throws(LoadProtocolError) -> Int {
        let digits = line.prefix { $0 != UInt8(ascii: ";") }
        let isNumber = digits.allSatisfy { 0x30...0x39 ~= $0 || 0x41...0x46 ~= $0 || 0x61...0x66 ~= $0 }
        guard isNumber, 1...8 ~= digits.count, let count = Int(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw LoadProtocolError("a chunk has no length") }
        return count
    }

    /// The line from `place` on without its end, and where the next begins; `nil` when it isn't all there.
    private static func line(
        _ bytes: ByteBufferView, from place: Int
    ) throws(LoadProtocolError) -> (ByteBufferView, Int)? {
        let window = bytes[place...].prefix(LoadLimits.longestLine)
        guard let end = window.firstIndex(of: UInt8(ascii: "\n")) else {
            guard window.count < LoadLimits.longestLine else {
                throw LoadProtocolError("a line between chunks has no end")
            }
            return nil
        }
        guard end > place, bytes[end - 1] == UInt8(ascii: "\r") else {
            throw LoadProtocolError("a chunk has no length")
        }
        return (bytes[place..<(end - 1)], end + 1)
    }

    /// Status line and fields.
    private struct Head {
        var status = 0
        /// In bytes, with the empty line.
        var length = 0
        var bodyLength = 0
        var isChunked = false
        var field: [UInt8] = []

        static func read(_ bytes: ByteBufferView, field name: String?) throws(LoadProtocolError) -> Head? {
            var head = Head()
            var line = bytes.startIndex
            while let end = bytes[line...].firstIndex(of: UInt8(ascii: "\n")) {
                if line == bytes.startIndex {
                    head.status = try status(bytes[line..<end])
                } else if end - line <= 1 {
                    head.length = end + 1 - bytes.startIndex
                    return head
                } else {
                    try head.take(bytes[line..<end], field: name)
                }
                line = end + 1
                if line == bytes.endIndex { break }
            }
            guard bytes.count < LoadLimits.longestHead else { throw LoadProtocolError("an answer's head has no end") }
            return nil
        }

        private static func status(_ line: ByteBufferView) throws(LoadProtocolError) -> Int {
            guard line.starts(with: "HTTP/1.".utf8), line.count >= 12,
                let status = Int(String(decoding: line.dropFirst(9).prefix(3), as: UTF8.self))
            else { throw LoadProtocolError("an answer does not begin as HTTP/1.1 does") }
            return status
        }

        private mutating func take(_ line: ByteBufferView, field name: String?) throws(LoadProtocolError) {
            switch line.first.map({ $0 | 0x20 }) {
            case UInt8(ascii: "c"):
                guard let value = Head.value(of: "content-length", in: line) else { return }
                guard let length = Int(String(decoding: value, as: UTF8.self)), 0...LoadLimits.longestBody ~= length
                else { throw LoadProtocolError("an answer's Content-Length is no length, or too long") }
                bodyLength = length
            case UInt8(ascii: "t"):
                if let value = Head.value(of: "transfer-encoding", in: line) {
                    isChunked = String(decoding: value, as: UTF8.self).lowercased() == "chunked"
                }
            default: break
            }
            if let name, let value = Head.value(of: name, in: line) { field = Array(value) }
        }

        private static func value(of name: String, in line: ByteBufferView) -> ByteBufferView? {
            var place = line.startIndex
            for byte in name.utf8 {
                guard place < line.endIndex, line[place] | 0x20 == byte | 0x20 else { return nil }
                place += 1
            }
            guard place < line.endIndex, line[place] == UInt8(ascii: ":") else { return nil }
            let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x0D || byte == 0x09 }
            var value = line[(place + 1)...].drop(while: isSpace)
            while let last = value.last, isSpace(last) { value = value.dropLast() }
            return value
        }
    }
}
