/// Where and why a text is not the JSON that was expected.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    package var message: String
    /// In bytes from the start.
    package var offset: Int
    /// From 1; the column counts bytes.
    package var line: Int
    package var column: Int

    package var description: String { "line \(line), column \(column) (byte \(offset)): \(message)" }
}

/// Reads JSON (RFC 8259) strictly and without building a tree: the caller says what it expects next. Duplicate members,
/// unpaired surrogates, invalid UTF-8, control characters in strings and anything after the document are errors.
/// Valid only while the bytes that it was given are.
package struct JSONScanner {
    /// Objects and arrays inside each other.
    package static let maximumDepth = 16
    /// Members of one object; all that the interfaces know have fewer.
    package static let maximumMembers = 64

    private let bytes: UnsafeRawBufferPointer
    package private(set) var offset = 0
    private var depth = 0

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Reads an object; `member` reads the value that follows its name.
    package mutating func object(
        _ member: (String, inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        try open(UInt8(ascii: "{"), "an object")
        var names: [String] = []
        if !accept(UInt8(ascii: "}")) {
            repeat {
                skipSpace()
                let start = offset
                let name = String(decoding: try string("a member name"), as: UTF8.self)
                guard !names.contains(name) else { throw error("the member \"\(name)\" appears twice", at: start) }
                guard names.count < JSONScanner.maximumMembers else { throw error("too many members", at: start) }
                names.append(name)
                try expect(UInt8(ascii: ":"), "':'")
                try member(name, &self)
            } while accept(UInt8(ascii: ","))
            try expect(UInt8(ascii: "}"), "',' or '}'")
        }
        depth -= 1
    }

    /// Reads an array; `element` reads one element.
    package mutating func array(_ element: (inout JSONScanner) throws(JSONError) -> Void) throws(JSONError) {
        try open(UInt8(ascii: "["), "an array")
        if !accept(UInt8(ascii: "]")) {
            repeat { try element(&self) } while accept(UInt8(ascii: ","))
            try expect(UInt8(ascii: "]"), "',' or ']'")
        }
        depth -= 1
    }

    /// Reads a string and gives its bytes, which are valid UTF-8. `what` names it in the error.
    package mutating func string(_ what: StaticString = "a string") throws(JSONError) -> [UInt8] {
        try expect(UInt8(ascii: "\""), what)
        let start = offset
        var high: UInt8 = 0
        while offset < bytes.count {
            let byte = bytes[offset]
            if byte == UInt8(ascii: "\"") {
                let result = [UInt8](bytes[start..<offset])
                try checkText(result, high: high, at: start)
                offset += 1
                return result
            }
            if byte == UInt8(ascii: "\\") { return try stringWithEscapes(from: start) }
            guard byte >= 0x20 else { throw error("a control character in a string must be escaped") }
            high |= byte
            offset += 1
        }
        throw error("the string does not end")
    }

    /// Reads a number without fraction or exponent that fits 64 bits.
    package mutating func integer() throws(JSONError) -> Int64 {
        let start = try startOfNumber()
        let text = try number()
        guard let value = Int64(text) else { throw error("expected a whole number of 64 bits", at: start) }
        return value
    }

    /// Reads any number.
    package mutating func double() throws(JSONError) -> Double {
        let start = try startOfNumber()
        guard let value = Double(try number()), value.isFinite else {
            throw error("the number is too large", at: start)
        }
        return value
    }

    /// Reads `null` if it is next.
    package mutating func acceptNull() -> Bool {
        skipSpace()
        return accept(word: "null")
    }

    /// Passes over any value and gives the range of its bytes.
    package mutating func skipValue() throws(JSONError) -> Range<Int> {
        skipSpace()
        let start = offset
        guard offset < bytes.count else { throw error("the text ends where a value is expected") }
        switch bytes[offset] {
        case UInt8(ascii: "{"): try object { (_, json) throws(JSONError) in _ = try json.skipValue() }
        case UInt8(ascii: "["): try array { (json) throws(JSONError) in _ = try json.skipValue() }
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: _ = try double()
        }
        return start..<offset
    }

    /// Checks that nothing but white space follows.
    package mutating func finish() throws(JSONError) {
        skipSpace()
        guard offset == bytes.count else { throw error("unexpected text after the JSON document") }
    }

    /// An error at `place`, or here. O(place).
    package func error(_ message: String, at place: Int? = nil) -> JSONError {
        let place = min(place ?? offset, bytes.count)
        var line = 1
        var column = 1
        for byte in bytes[..<place] {
            if byte == 0x0A {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        return JSONError(message: message, offset: place, line: line, column: column)
    }

    private mutating func skipSpace() {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            default: return
            }
        }
    }

    private mutating func accept(_ byte: UInt8) -> Bool {
        skipSpace()
        guard offset < bytes.count, bytes[offset] == byte else { return false }
        offset += 1
        return true
    }

    private mutating func word(_ word: StaticString) throws(JSONError) {
        guard accept(word: word) else { throw error("expected a value") }
    }

    private mutating func accept(word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        let expected = UnsafeBufferPointer(start: word.utf8Start, count: count)
        guard bytes.count - offset >= count, bytes[offset..<offset + count].elementsEqual(expected) else {
            return false
        }
        offset += count
        return true
    }

    private mutating func expect(_ byte: UInt8, _ what: StaticString) throws(JSONError) {
        guard accept(byte) else {
            throw error(offset == bytes.count ? "the text ends where \(what) is expected" : "expected \(what)")
        }
    }

    private mutating func open(_ byte: UInt8, _ what: StaticString) throws(JSONError) {
        try expect(byte, what)
        depth += 1
        guard depth <= JSONScanner.maximumDepth else {
            throw error("nested more than \(JSONScanner.maximumDepth) deep")
        }
    }

    private func checkText(_ text: [UInt8], high: UInt8, at start: Int) throws(JSONError) {
        guard high >= 0x80, String(validating: text, as: UTF8.self) == nil else { return }
        throw error("the string is not valid UTF-8", at: start)
    }
}

// MARK: - Numbers

extension JSONScanner {
    private mutating func startOfNumber() throws(JSONError) -> Int {
        skipSpace()
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: "-") || isDigit(offset) else {
            throw error("expected a number")
        }
        return offset
    }

    /// The text of a number as RFC 8259 writes it.
    private mutating func number() throws(JSONError) -> String {
        let start = offset
        if bytes[offset] == UInt8(ascii: "-") { offset += 1 }
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "0") {
            offset += 1
            guard !isDigit(offset) else { throw error("a number must not start with 0", at: start) }
        } else {
            try digits()
        }
        if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
            offset += 1
            try digits()
        }
        if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
            offset += 1
            if offset < bytes.count, bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-") {
                offset += 1
            }
            try digits()
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() throws(JSONError) {
        guard isDigit(offset) else { throw error("expected a digit") }
        while isDigit(offset) { offset += 1 }
    }

    private func isDigit(_ index: Int) -> Bool {
        index < bytes.count && bytes[index] >= UInt8(ascii: "0") && bytes[index] <= UInt8(ascii: "9")
    }
}

// MARK: - Escapes

extension JSONScanner {
    /// Goes on at the first backslash of a string whose text began at `start`.
    private mutating func stringWithEscapes(from start: Int) throws(JSONError) -> [UInt8] {
        var result = [UInt8](bytes[start..<offset])
        var high: UInt8 = 0
        for byte in result { high |= byte }
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                try checkText(result, high: high, at: start)
                return result
            case UInt8(ascii: "\\"):
                try escape(into: &result)
            case 0..<0x20:
                throw error("a control character in a string must be escaped", at: offset - 1)
            default:
                high |= byte
                result.append(byte)
            }
        }
        throw error("the string does not end")
    }

    private mutating func escape(into result: inout [UInt8]) throws(JSONError) {
        guard offset < bytes.count else { throw error("the string does not end") }
        let letter = bytes[offset]
        offset += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(letter)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"): try unicode(into: &result)
        default: throw error("unknown escape in a string", at: offset - 2)
        }
    }

    private mutating func unicode(into result: inout [UInt8]) throws(JSONError) {
        let start = offset - 2
        var scalar = UInt32(try fourHexDigits())
        if scalar & 0xFC00 == 0xD800 {
            guard bytes.count - offset >= 2, bytes[offset] == UInt8(ascii: "\\"),
                bytes[offset + 1] == UInt8(ascii: "u")
            else { throw error("a surrogate escape without its partner", at: start) }
            offset += 2
            let low = UInt32(try fourHexDigits())
            guard low & 0xFC00 == 0xDC00 else { throw error("a surrogate escape without its partner", at: start) }
            scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
        }
        guard let character = Unicode.Scalar(scalar) else {
            throw error("a surrogate escape without its partner", at: start)
        }
        result.append(contentsOf: UTF8.encode(character).map { Array($0) } ?? [])
    }

    private mutating func fourHexDigits() throws(JSONError) -> UInt16 {
        guard bytes.count - offset >= 4 else { throw error("an escape needs four hexadecimal digits") }
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = hexadecimalValue(bytes[offset]) else {
                throw error("an escape needs four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            offset += 1
        }
        return value
    }
}
