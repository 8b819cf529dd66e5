import KVHTTP
import NIOCore
import Testing

@Suite struct KitTests {
    @Test(arguments: ["", "f", "fo", "foo", "foob", "fooba", "foobar"])
    func `base64 reads what it writes`(text: String) {
        let bytes = Array(text.utf8)
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        #expect(Base64.decodeURLSafe(Base64.encodeURLSafe(bytes)) == bytes)
    }

    @Test(arguments: ["=", "Zg=", "Zg", "Zh==", "Z g=", "Zg==Zg==", "====", "Zg-_"])
    func `base64 takes nothing else`(text: String) {
        #expect(Base64.decode(Array(text.utf8)) == nil)
    }

    @Test func `strings survive writing and scanning`() throws {
        let text = "\u{0}\u{1F}\"\\/\u{7F}é€😀\u{2028}\n\r\t"
        var json = JSONWriter()
        json.string(text)
        let buffer = json.finish()
        let read = try buffer.withUnsafeReadableBytes { bytes in
            var scanner = JSONScanner(bytes)
            let string = try scanner.string()
            try scanner.finish()
            return string
        }
        #expect(read == Array(text.utf8))
    }

    @Test(arguments: [
        (#""\ud83d\ude00""#, "😀"), (#""\u0041\/\b\f\n\r\t\\\"""#, "A/\u{8}\u{C}\n\r\t\\\""), (#""\u0000""#, "\u{0}"),
    ])
    func `escapes are decoded`(json: String, text: String) throws {
        let read = try Array(json.utf8).withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            return try scanner.string()
        }
        #expect(read == Array(text.utf8))
    }

    @Test(arguments: ["01", "1.", ".5", "+1", "1e", "-", "1.5", "9223372036854775808", "NaN"])
    func `only whole numbers are integers`(json: String) {
        Array(json.utf8).withUnsafeBytes { bytes -> Void in
            _ = #expect(throws: JSONError.self) {
                var scanner = JSONScanner(bytes)
                _ = try scanner.integer()
                try scanner.finish()
            }
        }
    }

    @Test func `nesting is bounded`() {
        let deep = String(repeating: "[", count: 100_000)
        Array(deep.utf8).withUnsafeBytes { bytes -> Void in
            _ = #expect(throws: JSONError.self) {
                var scanner = JSONScanner(bytes)
                _ = try scanner.skipValue()
            }
        }
    }

    @Test func `any bytes end in a value or an error`() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("{}[]\",:\\u0dtrue-1.e \u{FF}".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<24, using: &generator)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
            }
            bytes.withUnsafeBytes { bytes in
                var scanner = JSONScanner(bytes)
                _ = try? scanner.skipValue()
                #expect(scanner.offset <= bytes.count)
            }
        }
    }
}
