internal import HTTPTypes
internal import NIOCore

/// Heads of requests, found in the bytes of a connection.
///
/// Only what every parser reads alike is read here (RFC 9112 without what it lets a server put up with): so nobody can
/// make this one and the parser behind it see different requests in the same bytes.
extension PlainHead {
    /// A whole head.
    struct Found {
        var head: PlainHead
        /// In bytes, with the empty line. A body of `head.contentLength` follows.
        var length: Int
        /// The head holds nothing that needs more than a look: no page's origin, no field twice.
        var isPlain: Bool
    }

    /// Where this request ends, or whether it is one at all, is for the parser to say.
    struct Unclear: Error {}

    /// The head that `buffer` begins with; `nil` while its end has not come. Costs one pass over the head.
    /// - Throws: also when there are more than `maximumFields`, which the parser has its own answer for.
    static func find(in buffer: ByteBuffer, maximumFields: Int) throws(Unclear) -> Found? {
        let result = buffer.withUnsafeReadableBytes { bytes in
            Result<Found?, Unclear> { () throws(Unclear) in
                var reader = HeadReader(bytes: bytes, fieldsLeft: maximumFields)
                return try reader.read()
            }
        }
        return try result.get()
    }
}

private struct HeadReader {
    let bytes: UnsafeRawBufferPointer
    private var next = 0
    private var fieldsLeft: Int
    private var hasLength = false
    private var isPlain = true

    init(bytes: UnsafeRawBufferPointer, fieldsLeft: Int) {
        self.bytes = bytes
        self.fieldsLeft = fieldsLeft
    }

    mutating func read() throws(PlainHead.Unclear) -> PlainHead.Found? {
        guard var head = try requestLine() else { return nil }
        while let line = try line() {
            if line.isEmpty {
                guard head.host != nil else { throw PlainHead.Unclear() }
                if let id = head.requestID, !RequestIDs.isValid(id) { head.requestID = nil }
                return PlainHead.Found(head: head, length: next, isPlain: isPlain)
            }
            fieldsLeft -= 1
            guard fieldsLeft >= 0 else { throw PlainHead.Unclear() }
            try field(line, &head)
        }
        return nil
    }

    /// The next line without its end; `nil` when that has not come.
    private mutating func line() throws(PlainHead.Unclear) -> Range<Int>? {
        let start = next
        var end = start
        while end < bytes.count {
            let byte = bytes[end]
            if byte < 0x20 || byte >= 0x7F {
                if byte == UInt8(ascii: "\r") { break }
                guard byte == UInt8(ascii: "\t") else { throw PlainHead.Unclear() }
            }
            end += 1
        }
        guard end + 1 < bytes.count else { return nil }
        guard bytes[end + 1] == UInt8(ascii: "\n") else { throw PlainHead.Unclear() }
        next = end + 2
        return start..<end
    }

    private func word(_ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }

    /// `METHOD /target HTTP/1.1`
    private mutating func requestLine() throws(PlainHead.Unclear) -> PlainHead? {
        // What can't become a method is not waited for.
        let method = try method()
        guard let line = try line() else { return nil }
        let version: StaticString = " HTTP/1.1"
        let from = method.length + 1
        let to = line.upperBound - version.utf8CodeUnitCount
        guard from < to, bytes[from] == UInt8(ascii: "/"), isAt(to, version) else { throw PlainHead.Unclear() }
        var mark = to
        for place in from..<to {
            let byte = bytes[place]
            guard byte > 0x20 else { throw PlainHead.Unclear() }
            if byte == UInt8(ascii: "?"), mark == to { mark = place }
        }
        return PlainHead(method.value, path: word(from..<mark), query: mark < to ? word(mark + 1..<to) : nil)
    }

    private mutating func method() throws(PlainHead.Unclear) -> (value: HTTPRequest.Method, length: Int) {
        if isAt(0, "GET ") { return (.get, 3) }
        if isAt(0, "PUT ") { return (.put, 3) }
        if isAt(0, "HEAD ") { return (.head, 4) }
        if isAt(0, "DELETE ") { return (.delete, 6) }
        if isAt(0, "POST ") {
            isPlain = false
            return (.post, 4)
        }
        // The first bytes of one of these are waited for: as if they were of a head that goes on.
        guard bytes.count < 7, bytes.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }) else {
            throw PlainHead.Unclear()
        }
        return (.get, 3)
    }

    /// Whether `text` stands there.
    private func isAt(_ place: Int, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard place >= 0, count <= bytes.count - place else { return false }
        for offset in 0..<count where bytes[place + offset] != text.utf8Start[offset] { return false }
        return true
    }

    /// `Name: value`
    private mutating func field(_ line: Range<Int>, _ head: inout PlainHead) throws(PlainHead.Unclear) {
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon].isOfFieldName { colon += 1 }
        guard colon > line.lowerBound, colon < line.upperBound, bytes[colon] == UInt8(ascii: ":") else {
            throw PlainHead.Unclear()
        }
        let name = line.lowerBound..<colon
        var value = colon + 1..<line.upperBound
        while let first = value.first, bytes[first].isBlank { value.removeFirst() }
        while let last = value.last, bytes[last].isBlank { value.removeLast() }
        switch name.count {
        case 4 where isName(name, "host"):
            guard head.host == nil, !value.isEmpty else { throw PlainHead.Unclear() }
            head.host = word(value)
        case 6 where isName(name, "accept"): take(value, &head.accept)
        case 6 where isName(name, "origin"): isPlain = false
        case 8 where isName(name, "if-match"): take(value, &head.ifMatch)
        case 10 where isName(name, "connection"):
            if isName(value, "close") { head.ends = true } else { try demand(isName(value, "keep-alive")) }
        case 12 where isName(name, "content-type"): take(value, &head.contentType)
        case 12 where isName(name, "x-request-id"): take(value, &head.requestID)
        case 13 where isName(name, "if-none-match"): take(value, &head.ifNoneMatch)
        case 14 where isName(name, "content-length"):
            // Parsers differ in what they let stand around a length.
            guard !hasLength, value.upperBound == line.upperBound, let length = number(value) else {
                throw PlainHead.Unclear()
            }
            hasLength = true
            head.contentLength = length
        case 6 where isName(name, "expect"), 7 where isName(name, "upgrade"), 16 where isName(name, "proxy-connection"),
            17 where isName(name, "transfer-encoding"):
            throw PlainHead.Unclear()
        default: break
        }
    }

    private func demand(_ holds: Bool) throws(PlainHead.Unclear) {
        if !holds { throw PlainHead.Unclear() }
    }

    private mutating func take(_ value: Range<Int>, _ place: inout String?) {
        if place == nil { place = word(value) } else { isPlain = false }
    }

    /// Whether these bytes are `expected`, which is given in lower case, in any case of ASCII letters.
    private func isName(_ range: Range<Int>, _ expected: StaticString) -> Bool {
        guard range.count == expected.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count {
            let byte = bytes[range.lowerBound + offset]
            let lower = byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
            guard lower == expected.utf8Start[offset] else { return false }
        }
        return true
    }

    /// 1 to 15 digits.
    private func number(_ range: Range<Int>) -> Int? {
        guard (1...15).contains(range.count) else { return nil }
        var result = 0
        for byte in bytes[range] {
            guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte else { return nil }
            result = result * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return result
    }
}

extension UInt8 {
    fileprivate var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }

    fileprivate var isOfFieldName: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
