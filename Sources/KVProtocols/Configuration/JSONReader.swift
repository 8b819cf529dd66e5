/// What is wrong with a text that is no JSON, and where.
struct JSONFault: Error, Hashable {
    var origin: Origin
    var message: String
}

/// Reads strict JSON (RFC 8259) and keeps every value's line and column, and names that are given twice: Foundation's
/// decoder keeps neither. Bounded: `maximumLength` bytes, `maximumDepth` levels, which also bounds the recursion.
struct JSONReader {
    static let maximumLength = 4 << 20
    static let maximumDepth = 32

    private let bytes: [UInt8]
    private var offset = 0
    private var line = 1
    private var column = 1

    /// O(length).
    static func read(_ text: String) throws(JSONFault) -> JSONNode {
        var reader = JSONReader(bytes: Array(text.utf8))
        guard reader.bytes.count <= maximumLength else {
            throw reader.fault("the text is longer than \(maximumLength >> 20) MiB")
        }
        reader.skipSpace()
        let node = try reader.readValue(depth: 0)
        reader.skipSpace()
        guard reader.peek == nil else { throw reader.fault("expected the end of the text, found \(reader.found)") }
        return node
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    // MARK: Moving

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private var origin: Origin { .text(line: line, column: column) }

    private mutating func advance() {
        let byte = bytes[offset]
        offset += 1
        if byte == UInt8(ascii: "\n") {
            line += 1
            column = 1
        } else if offset == bytes.count || bytes[offset] & 0xC0 != 0x80 {
            // Bytes that continue a character don't count.
            column += 1
        }
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { advance() }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        advance()
        return true
    }

    private func fault(_ message: String) -> JSONFault { JSONFault(origin: origin, message: message) }

    /// What stands here, for a message.
    private var found: String {
        guard let byte = peek else { return "the end of the text" }
        if byte == UInt8(ascii: "/") || byte == UInt8(ascii: "#") { return "what looks like a comment; JSON has none" }
        guard let character = String(decoding: bytes[offset..<min(offset + 4, bytes.count)], as: UTF8.self).first else {
            return "nothing"
        }
        return quoted(String(character))
    }

    // MARK: Values

    private mutating func readValue(depth: Int) throws(JSONFault) -> JSONNode {
        guard depth < JSONReader.maximumDepth else {
            throw fault("more than \(JSONReader.maximumDepth) levels of objects and lists")
        }
        let start = origin
        guard let byte = peek else { throw fault("expected a value, found the end of the text") }
        let value: JSONNode.Value
        switch byte {
        case UInt8(ascii: "{"): value = .object(try readMembers(depth: depth))
        case UInt8(ascii: "["): value = .array(try readElements(depth: depth))
        case UInt8(ascii: "\""): value = .string(try readString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): value = try readNumber()
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): value = try readWord()
        default: throw fault("expected a value, found \(found)")
        }
        return JSONNode(value: value, origin: start)
    }

    private mutating func readMembers(depth: Int) throws(JSONFault) -> [JSONNode.Member] {
        advance()
        skipSpace()
        var members: [JSONNode.Member] = []
        if take("}") { return members }
        while true {
            let start = origin
            guard peek == UInt8(ascii: "\"") else {
                throw fault(
                    peek == UInt8(ascii: "}") ? "a comma before '}'" : "expected a name in \"\", found \(found)")
            }
            let name = try readString()
            skipSpace()
            guard take(":") else { throw fault("expected ':' after the name \(quoted(name)), found \(found)") }
            skipSpace()
            members.append(JSONNode.Member(name: name, origin: start, node: try readValue(depth: depth + 1)))
            skipSpace()
            if take("}") { return members }
            guard take(",") else { throw fault("expected ',' or '}', found \(found)") }
            skipSpace()
        }
    }

    private mutating func readElements(depth: Int) throws(JSONFault) -> [JSONNode] {
        advance()
        skipSpace()
        var elements: [JSONNode] = []
        if take("]") { return elements }
        while true {
            guard peek != UInt8(ascii: "]") else { throw fault("a comma before ']'") }
            elements.append(try readValue(depth: depth + 1))
            skipSpace()
            if take("]") { return elements }
            guard take(",") else { throw fault("expected ',' or ']', found \(found)") }
            skipSpace()
        }
    }

    private mutating func readWord() throws(JSONFault) -> JSONNode.Value {
        var end = offset
        while end < bytes.count, bytes[end] | 0x20 >= UInt8(ascii: "a"), bytes[end] | 0x20 <= UInt8(ascii: "z") {
            end += 1
        }
        let word = String(decoding: bytes[offset..<end], as: UTF8.self)
        let values: [String: JSONNode.Value] = ["true": .boolean(true), "false": .boolean(false), "null": .null]
        guard let value = values[word] else {
            throw fault("expected a value, found \(quoted(word)); texts stand in \"\"")
        }
        while offset < end { advance() }
        return value
    }

    private mutating func readNumber() throws(JSONFault) -> JSONNode.Value {
        let start = origin
        let first = offset
        var isWhole = true
        _ = take("-")
        if !take("0") { try readDigits() }
        if take(".") {
            isWhole = false
            try readDigits()
        }
        if take("e") || take("E") {
            isWhole = false
            if !take("-") { _ = take("+") }
            try readDigits()
        }
        if let byte = peek, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
            throw fault("a number with a leading zero")
        }
        let text = String(decoding: bytes[first..<offset], as: UTF8.self)
        if isWhole, let integer = Int64(text) { return .integer(integer) }
        guard let number = Double(text), number.isFinite else {
            throw JSONFault(origin: start, message: "the number \(quoted(text)) is too large")
        }
        return .number(number)
    }

    private mutating func readDigits() throws(JSONFault) {
        let first = offset
        while let byte = peek, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { advance() }
        guard offset > first else { throw fault("expected a digit, found \(found)") }
    }

    // MARK: Texts

    private mutating func readString() throws(JSONFault) -> String {
        let start = origin
        advance()
        var content: [UInt8] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                advance()
                return String(decoding: content, as: UTF8.self)
            case UInt8(ascii: "\\"):
                content.append(contentsOf: try readEscape())
            case 0..<0x20:
                throw fault(byte == 0x0A ? "a text ends on the line where it starts" : "a control character in a text")
            default:
                content.append(byte)
                advance()
            }
        }
        throw JSONFault(origin: start, message: "the text that starts here has no closing '\"'")
    }

    private mutating func readEscape() throws(JSONFault) -> [UInt8] {
        let start = origin
        advance()
        guard let byte = peek else { throw fault("expected an escape after '\\', found the end of the text") }
        let plain: [UInt8: UInt8] = [
            UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 0x08,
            UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
        ]
        if let character = plain[byte] {
            advance()
            return [character]
        }
        guard take("u") else { throw fault("no escape starts with '\\' and \(found)") }
        var number = try readHex()
        if 0xD800..<0xDC00 ~= number {
            guard take("\\"), take("u"), case let low = try readHex(), 0xDC00..<0xE000 ~= low else {
                throw JSONFault(origin: start, message: "half a surrogate pair")
            }
            number = 0x10000 + (number - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(number) else {
            throw JSONFault(origin: start, message: "half a surrogate pair")
        }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func readHex() throws(JSONFault) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw fault("expected four hexadecimal digits, found \(found)")
            }
            number = number << 4 | UInt32(digit)
            advance()
        }
        return number
    }
}
