#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// `host:port`; an IPv6 host stands in brackets: `[::1]:8001`.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or a numeric address, in lower case, without brackets.
    public let host: String
    /// 1 to 65535.
    public let port: Int

    /// Parses the text form; `nil` when the text is anything else. Looks nothing up.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let port = Int(digits), 1...65535 ~= port
        else { return nil }
        var host = text[..<colon].lowercased()
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard NetworkAddress.bytes(ofIPv6: host) != nil else { return nil }
        } else {
            guard NetworkAddress.isHostName(host) else { return nil }
        }
        self.host = host
        self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether only this machine can reach it.
    public var isLoopback: Bool {
        if host == "localhost" { return true }
        if let bytes = NetworkAddress.bytes(ofIPv4: host) { return bytes[0] == 127 }
        guard let bytes = NetworkAddress.bytes(ofIPv6: host) else { return false }
        let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        return isMapped ? bytes[12] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
    }

    /// Whether it stands for every address of the machine: good for listening, useless for connecting.
    public var isWildcard: Bool {
        (NetworkAddress.bytes(ofIPv4: host) ?? NetworkAddress.bytes(ofIPv6: host))?.allSatisfy { $0 == 0 } ?? false
    }

    /// Whether two servers on one machine can't both listen, one here and one there.
    func collides(with other: NetworkAddress) -> Bool {
        port == other.port && (isWildcard || other.isWildcard || canonicalHost == other.canonicalHost)
    }

    /// The machine as far as the text tells: every loopback address is the same one.
    var machine: String { isLoopback ? "localhost" : canonicalHost }

    private var canonicalHost: String {
        if host == "localhost" || host == "127.0.0.1" || (host.contains(":") && isLoopback) { return "localhost" }
        return NetworkAddress.bytes(ofIPv6: host).map { "\($0)" } ?? host
    }

    /// The host of `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    static func host(ofURL url: String) -> String? {
        guard let scheme = ["http://", "https://"].first(where: { url.hasPrefix($0) }) else { return nil }
        let authority = String(url.dropFirst(scheme.count))
        return (NetworkAddress(authority) ?? NetworkAddress(authority + ":80"))?.host
    }

    /// Whether it is a name or a numeric IPv4 address, in lower case.
    static func isHostName(_ host: String) -> Bool {
        guard (1...253).contains(host.utf8.count) else { return false }
        if host.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: ".") }) {
            return bytes(ofIPv4: host) != nil
        }
        return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy(isHostCharacter)
        }
    }

    /// With the underscore: container engines allow it in the names of services.
    private static func isHostCharacter(_ byte: UInt8) -> Bool {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }

    private static func bytes(ofIPv4 host: String) -> [UInt8]? {
        var address = in_addr()
        guard inet_pton(AF_INET, host, &address) == 1 else { return nil }
        return withUnsafeBytes(of: address) { Array($0) }
    }

    private static func bytes(ofIPv6 host: String) -> [UInt8]? {
        var address = in6_addr()
        guard inet_pton(AF_INET6, host, &address) == 1 else { return nil }
        return withUnsafeBytes(of: address) { Array($0) }
    }
}
