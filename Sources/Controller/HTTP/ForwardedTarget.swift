internal import KVHTTP
internal import KVProtocols

/// Where a request that is passed on goes: the node that its query names, and the target as the node shall see it.
struct ForwardedTarget {
    /// The node named by `?node=`.
    let node: String?
    /// How long the client lets the operation take.
    let timeout: Duration
    /// Path and query. `node` was taken out, unless the read is local: then the node checks that it is the one meant.
    let uri: String

    /// - Throws: 400 for escapes that are none, and for a path that is not UTF-8.
    init(_ exchange: Exchange) throws(Problem) {
        var node: String?
        var milliseconds = 5_000
        var isLocal = false
        var kept: [Substring] = []
        for pair in (exchange.query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(parts[0].utf8, plusIsSpace: true),
                let value = percentDecoded((parts.count > 1 ? parts[1] : "").utf8, plusIsSpace: true)
            else { throw ForwardedTarget.badEscape }
            let text = String(decoding: value, as: UTF8.self)
            switch String(decoding: name, as: UTF8.self) {
            case "node" where node == nil && !text.isEmpty:
                node = text
                continue
            case "consistency": isLocal = text == "local"
            case "timeout": milliseconds = min(max(Int(text) ?? milliseconds, 0), 60_000)
            default: break
            }
            kept.append(pair)
        }
        guard let path = percentDecoded(exchange.path.utf8) else { throw ForwardedTarget.badEscape }
        // The client that sends it on takes such a path for an empty one.
        guard String(validating: path, as: UTF8.self) != nil else {
            throw Problem.badRequest("bad_key", KeyError.notUTF8.description)
        }
        var query = kept.joined(separator: "&")
        if isLocal, let node {
            query += (query.isEmpty ? "" : "&") + "node=" + node.percentEncoded
        }
        self.node = node
        timeout = .milliseconds(milliseconds)
        uri = ForwardedTarget.clean(String(exchange.path)) + (query.isEmpty ? "" : "?" + ForwardedTarget.clean(query))
    }

    private static let badEscape = Problem.badRequest(
        "bad_escape", "the target holds a '%' that is not followed by two hexadecimal digits")

    /// Escapes what a target may not hold as it is. What is escaped already stays so: the node decodes once and sees
    /// the bytes that the client meant.
    private static func clean(_ text: String) -> String {
        let allowed = { (byte: UInt8) in
            byte > 0x20 && byte < 0x7F && !"\"<>\\^`{|}#[]".utf8.contains(byte)
        }
        if text.utf8.allSatisfy(allowed) { return text }
        var result: [UInt8] = []
        for byte in text.utf8 {
            if allowed(byte) {
                result.append(byte)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result.append(contentsOf: "%\(digits.count == 1 ? "0" : "")\(digits)".utf8)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
