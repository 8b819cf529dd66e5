import ArgumentParser
import Foundation
import Testing

@testable import kv

@Suite struct ClientTests {
    @Test func `keys are escaped so that no byte means anything in a path`() {
        #expect("a/../b c%?#.é".percentEncoded == "a%2F%2E%2E%2Fb%20c%25%3F%23%2E%C3%A9")
        #expect("Az09-_~".percentEncoded == "Az09-_~")
    }

    @Test func `a target holds key, timeout and the parameters that have a value`() throws {
        let get = try #require(try KV.parseAsRoot(["get", "--timeout", "70", "a b"]) as? Get)
        #expect(try get.target.target(get.key, [("node", nil), ("ttl", "5")]) == "/kv/a%20b?timeout=70&ttl=5")
    }

    @Test(arguments: [
        ("http://host:1/", "http://host:1"), ("host:1", "http://host:1"), ("https://h", "https://h"),
    ])
    func `an address may come with or without scheme and slash`(_ given: String, _ url: String) {
        #expect(StoreClient(url: given, timeout: .seconds(1)).url == url)
    }

    @Test func `a value is text, standard input or a file`() {
        #expect(ValueSource("v") == .text("v"))
        #expect(ValueSource("-") == .standardInput)
        #expect(ValueSource("@f") == .file("f"))
        #expect(ValueSource("@") == .text("@"))
        #expect(ValueSource("") == .text(""))
    }

    @Test func `a value of the terminal may be a lone dash`() throws {
        let put = try #require(try KV.parseAsRoot(["put", "key", "-"]) as? Put)
        #expect(ValueSource(put.value) == .standardInput)
    }

    @Test func `a file that is missing is said so`() {
        #expect(throws: CommandFailure.self) { try ValueSource("@/nonexistent/file").bytes() }
    }

    @Test func `a table is aligned and can't command the terminal`() {
        var table = Table("key", "value")
        table.add("long key", "v")
        table.add("k", "\u{1B}[2J")
        #expect(
            table.text(hasColour: false)
                == "KEY       VALUE\nlong key  v\nk         \\u{1b}[2J\n")
    }

    @Test func `excluding conditions are wrong usage`() {
        #expect(throws: (any Error).self) {
            try KV.parseAsRoot(["put", "k", "v", "--if-absent", "--if-version", "1.1.1"])
        }
    }

    @Test func `a folder is the same wherever the next command is called`() throws {
        let here = FileManager.default.currentDirectoryPath
        let path = here == "/" ? "/data/w" : "\(here)/data/w"
        for text in ["data/w", "data/w/", "./data/../data//w", path] {
            #expect(BackendPlace(type: "file", path: text).path == path)
            #expect(try BackendPlace("file:\(text)").path == path)
        }
        #expect(BackendPlace(type: "file", path: "/").path == "/")
        #expect(throws: CommandFailure.self) { try BackendPlace.existing("") }
    }

    @Test func `negative amounts go behind two dashes`() throws {
        let increment = try #require(try KV.parseAsRoot(["incr", "--", "k", "-3"]) as? Increment)
        #expect(increment.by == -3)
    }
}
