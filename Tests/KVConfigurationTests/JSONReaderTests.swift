import Testing

@testable import KVConfiguration

@Suite struct JSONReaderTests {
    private func refusal(_ text: String) -> JSONFault? {
        do throws(JSONFault) {
            _ = try JSONReader.read(text)
            return nil
        } catch {
            return error
        }
    }

    @Test func `every value keeps its line and column`() throws {
        let node = try JSONReader.read("{\n  \"ä\": [true,\n 12]\n}")
        #expect(node.origin == .text(line: 1, column: 1))
        let list = try #require(node.member("ä"))
        #expect(list.origin == .text(line: 2, column: 8))
        guard case .array(let elements) = list.value else {
            Issue.record("expected a list")
            return
        }
        #expect(elements.map(\.origin) == [.text(line: 2, column: 9), .text(line: 3, column: 2)])
        #expect(elements.map(\.value) == [.boolean(true), .integer(12)])
    }

    @Test(arguments: [
        ("0", JSONNode.Value.integer(0)), ("-7", .integer(-7)), ("1.5e2", .number(150)), ("1E+2", .number(100)),
        ("9223372036854775807", .integer(.max)), ("9223372036854775808", .number(9_223_372_036_854_775_808)),
        ("null", .null), (" [ ] ", .array([])), ("{}", .object([])),
        (#""a\"\\\/\b\f\n\r\té""#, .string("a\"\\/\u{8}\u{c}\n\r\té")), (#""😀""#, .string("😀")),
    ])
    func `valid JSON is read`(text: String, value: JSONNode.Value) throws {
        #expect(try JSONReader.read(text).value == value)
    }

    @Test func `surrogate pairs and other escapes become characters`() throws {
        let backslash = "\\"
        let text = "\"\(backslash)ud83d\(backslash)ude00 \(backslash)u00E9\""
        #expect(try JSONReader.read(text).value == .string("😀 é"))
    }

    @Test(arguments: [
        ("", 1, 1, "end of the text"), ("{\"a\": 1,}", 1, 9, "a comma before '}'"),
        ("[1,\n]", 2, 1, "a comma before ']'"),
        ("{\"a\" 1}", 1, 6, "expected ':'"), ("{a: 1}", 1, 2, "expected a name"), ("{\"a\": yes}", 1, 7, "yes"),
        ("{} {}", 1, 4, "end of the text"), ("// no\n{}", 1, 1, "comment"), ("[01]", 1, 3, "leading zero"),
        ("[1.]", 1, 4, "digit"), ("-", 1, 2, "digit"), ("1e999", 1, 1, "too large"), ("\"abc", 1, 1, "closing"),
        ("\"a\nb\"", 1, 3, "ends on the line"), ("\"a\u{1}b\"", 1, 3, "control character"), ("\"\\x\"", 1, 3, "escape"),
        ("\"\\ud800x\"", 1, 2, "surrogate"), ("\"\\udc00\"", 1, 2, "surrogate"), ("\"\\u12\"", 1, 6, "hexadecimal"),
        ("\"ééé\" x", 1, 7, "end of the text"), ("'a'", 1, 1, "expected a value"), ("[1 2]", 1, 4, "','"),
    ])
    func `a fault names its place`(text: String, line: Int, column: Int, part: String) throws {
        let fault = try #require(refusal(text))
        #expect(fault.origin == .text(line: line, column: column), "\(fault.message)")
        #expect(fault.message.contains(part), "\(fault.message)")
    }

    @Test func `depth is bounded`() throws {
        let fine = String(repeating: "[", count: 31) + "1" + String(repeating: "]", count: 31)
        #expect(refusal(fine) == nil)
        let deep = String(repeating: "[", count: 1_000_000)
        #expect(try #require(refusal(deep)).message.contains("32 levels"))
    }

    @Test func `length is bounded`() throws {
        let long = String(repeating: " ", count: JSONReader.maximumLength) + "1"
        #expect(try #require(refusal(long)).message.contains("4 MiB"))
    }

    @Test func `every prefix of a text is a fault, never a trap`() {
        let text = #"{"a": [1, -2.5e3, "x\u00e9\n", true, null], "b": {"c": {}}}"#
        for count in 0..<text.utf8.count {
            #expect(refusal(String(decoding: text.utf8.prefix(count), as: UTF8.self)) != nil)
        }
        #expect(refusal(text) == nil)
    }

    @Test func `printed JSON is read back the same`() throws {
        let text = #"{"a\u0001\"": [1, 2.5, {"b": "\\\té"}], "c": {}, "d": []}"#
        let node = try JSONReader.read(text)
        let again = try JSONReader.read(node.value.printed())
        #expect(again.value.printed() == node.value.printed())
    }

    @Test(arguments: [
        ("lmbd", "lmdb"), ("nods", "nodes"), ("fail_after", "fail_after_ms"), ("KV_NODE_LISTN", "KV_NODE_LISTEN"),
        ("Backend", "backend"),
    ])
    func `the nearest name is found`(name: String, nearest: String) {
        let known = ["nodes", "lmdb", "file", "fail_after_ms", "heartbeat_ms", "KV_NODE_LISTEN", "backend"]
        #expect(nearestName(to: name, among: known) == nearest)
    }

    @Test func `a name that is near none has no nearest`() {
        #expect(nearestName(to: "elephant", among: ["nodes", "lmdb"]) == nil)
        #expect(nearestName(to: "", among: ["nodes"]) == nil)
    }
}
