/// The parameters of a request's query, checked strictly: a name that the route does not know, or one that appears
/// twice, is an error, never ignored.
package struct QueryParameters: Sendable {
    private var parameters: [(name: String, value: [UInt8])] = []

    /// Decodes `query` (what follows the `?`). `known` are the names that the route accepts.
    package init(_ query: Substring?, known: [String]) throws(Problem) {
        guard let query, !query.isEmpty else { return }
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: UInt8(ascii: "="))
            guard let name = percentDecoded(Substring(pair[..<(equals ?? pair.endIndex)]).utf8, plusIsSpace: true),
                let value = percentDecoded(
                    Substring(equals.map { pair[pair.index(after: $0)...] } ?? pair[pair.endIndex...]).utf8,
                    plusIsSpace: true)
            else {
                throw .badRequest("bad_query", "the query holds a '%' that is not followed by two hexadecimal digits")
            }
            try add(String(decoding: name, as: UTF8.self), value, known)
        }
    }

    private mutating func add(_ name: String, _ value: [UInt8], _ known: [String]) throws(Problem) {
        guard known.contains(name) else {
            let accepted = known.isEmpty ? "no parameters" : known.joined(separator: ", ")
            throw .badRequest(
                "unknown_parameter", "the parameter \"\(name.prefix(64))\" is unknown; this path accepts \(accepted)")
        }
        guard !parameters.contains(where: { $0.name == name }) else {
            throw .badRequest("duplicate_parameter", "the parameter \"\(name)\" appears twice")
        }
        parameters.append((name, value))
    }

    package var isEmpty: Bool { parameters.isEmpty }

    package func bytes(_ name: String) -> [UInt8]? {
        parameters.first { $0.name == name }?.value
    }

    package func text(_ name: String) throws(Problem) -> String? {
        guard let bytes = bytes(name) else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .badRequest("bad_parameter", "the parameter \"\(name)\" is not valid UTF-8")
        }
        return text
    }

    package func integer(_ name: String, in range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let bytes = bytes(name) else { return nil }
        guard let value = Int(String(decoding: bytes, as: UTF8.self)), range.contains(value) else {
            throw .badRequest(
                "bad_parameter",
                "the parameter \"\(name)\" must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    package func boolean(_ name: String) throws(Problem) -> Bool? {
        guard let bytes = bytes(name) else { return nil }
        switch String(decoding: bytes, as: UTF8.self) {
        case "true", "1", "": return true
        case "false", "0": return false
        default: throw .badRequest("bad_parameter", "the parameter \"\(name)\" must be true or false")
        }
    }
}
