/// The names by which clients may call a server. A page of another site can make a browser send requests here by letting
/// a name of that site point to this machine; such requests carry that name in `Host`.
public struct AcceptedHosts: Hashable, Sendable {
    private let names: Set<String>

    /// - Parameter names: host names without a port, in any case, beside those that are always accepted.
    public init(_ names: some Sequence<String> = []) {
        self.names = Set(names.map { AcceptedHosts.name($0[...]) })
    }

    /// Whether a `Host` field may be answered: an address, `localhost` and names below it, a name without a dot, which
    /// no site on the internet has, or one of the names given.
    func accepts(_ field: String) -> Bool {
        if field.utf8.first == UInt8(ascii: "[") { return AcceptedHosts.isBracketed(field) }
        let host = AcceptedHosts.name(field.prefix { $0 != ":" })
        guard host.utf8.contains(UInt8(ascii: ".")) else { return true }
        let isAddress = host.utf8.allSatisfy {
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: ".")
        }
        return isAddress || host.hasSuffix(".localhost") || names.contains(host)
    }

    /// In lower case, without the dot that may end a full name.
    private static func name(_ host: Substring) -> String {
        let lower = host.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }

    /// `[IPv6]` or `[IPv6]:port`.
    private static func isBracketed(_ field: String) -> Bool {
        guard let end = field.utf8.firstIndex(of: UInt8(ascii: "]")) else { return false }
        return field.utf8[..<end].dropFirst().allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: ":"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}
