import Testing

@testable import KVConfiguration

@Suite struct NetworkAddressTests {
    @Test(arguments: ["127.0.0.1:8001", "localhost:1", "[::1]:65535", "worker1:80", "a_b.example:8000"])
    func `an address prints as it was written`(text: String) throws {
        #expect(try #require(NetworkAddress(text)).description == text)
    }

    @Test(arguments: [
        "", ":", "8001", ":8001", "host:", "host:0", "host:65536", "host:08001x", "host:+1", "::1:8001", "[::1]",
        "[]:1",
        "[1]:1", "1.2.3:80", "999.1.1.1:80", "-a:1", "a-:1", "a..b:1", "ho st:1", "http://a:1", "a/b:1", "*:80",
        "host:999999999999999999999",
    ])
    func `anything else is no address`(text: String) {
        #expect(NetworkAddress(text) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1:1", true), ("127.9.9.9:1", true), ("localhost:1", true), ("LOCALHOST:1", true), ("[::1]:1", true),
        ("[0:0:0:0:0:0:0:1]:1", true), ("[::ffff:127.0.0.1]:1", true), ("0.0.0.0:1", false), ("[::]:1", false),
        ("10.0.0.1:1", false), ("[::ffff:10.0.0.1]:1", false), ("worker1:1", false), ("127.example:1", false),
        ("localhost.example:1", false),
    ])
    func `loopback is told from the rest`(text: String, isLoopback: Bool) throws {
        #expect(try #require(NetworkAddress(text)).isLoopback == isLoopback)
    }

    @Test func `wildcards stand for every address`() throws {
        for text in ["0.0.0.0:1", "[::]:1", "[0::0]:1"] {
            #expect(try #require(NetworkAddress(text)).isWildcard)
        }
        #expect(try !#require(NetworkAddress("10.0.0.1:1")).isWildcard)
    }

    @Test(arguments: [
        ("127.0.0.1:1", "localhost:1", true), ("127.0.0.1:1", "127.0.0.2:1", false), ("0.0.0.0:1", "10.0.0.1:1", true),
        ("10.0.0.1:1", "10.0.0.1:2", false), ("[::1]:1", "[0:0::1]:1", true), ("[fe80::1]:1", "[fe80:0::1]:1", true),
    ])
    func `collisions are seen through spelling`(left: String, right: String, isCollision: Bool) throws {
        let one = try #require(NetworkAddress(left))
        let other = try #require(NetworkAddress(right))
        #expect(one.collides(with: other) == isCollision)
        #expect(other.collides(with: one) == isCollision)
    }
}
