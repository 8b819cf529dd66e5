/// A value together with its path in the configuration and the place that it came from.
struct Located<Value> {
    var value: Value
    var path: String
    var origin: Origin
}

extension Located: Sendable where Value: Sendable {}

/// The members of one object while it is checked. Every accessor reports what is wrong and then gives `nil`, so that
/// the checking of the other members goes on.
struct Fields {
    let path: String
    let origin: Origin
    private var members: [String: JSONNode] = [:]

    /// An absent object: every member is absent.
    init(absentAt path: String, origin: Origin) {
        self.path = path
        self.origin = origin
    }

    /// Reports names that are unknown or given twice; `nil` when `node` is no object.
    init?(_ node: JSONNode, path: String, known: [String], log: inout ProblemLog) {
        self.init(absentAt: path, origin: node.origin)
        guard case .object(let list) = node.value else {
            log.report(path, "expected an object, found \(node.kind)", at: node.origin)
            return nil
        }
        for member in list {
            if members[member.name] != nil {
                log.report(self.path(of: member.name), "is given twice", at: member.origin)
            } else {
                members[member.name] = member.node
                guard !known.contains(member.name) else { continue }
                log.report(
                    self.path(of: member.name), "unknown key; \(suggestion(for: member.name, among: known))",
                    at: member.origin)
            }
        }
    }

    /// Names that were given, in order.
    var names: [String] { members.keys.sorted() }

    func path(of name: String) -> String {
        let isPlain =
            !name.isEmpty
            && name.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || byte == UInt8(ascii: "_")
                    || byte == UInt8(ascii: "$")
            }
        return isPlain && name.utf8.count <= 64 ? "\(path).\(name)" : "\(path)[\(quoted(name))]"
    }

    func node(_ name: String) -> JSONNode? { members[name] }

    /// `value` as the one of an absent member.
    func filled<Value>(_ name: String, _ value: Value) -> Located<Value> {
        Located(value: value, path: path(of: name), origin: origin)
    }

    /// The member's node; reports when it is absent.
    func required(_ name: String, _ log: inout ProblemLog) -> JSONNode? {
        if let node = members[name] { return node }
        log.report(path(of: name), "is missing", at: origin)
        return nil
    }

    /// `nil` also when the member is absent, without a report.
    func string(_ name: String, _ log: inout ProblemLog) -> Located<String>? {
        guard let node = members[name] else { return nil }
        guard case .string(let text) = node.value else {
            log.report(path(of: name), "expected a text, found \(node.kind)", at: node.origin)
            return nil
        }
        return Located(value: text, path: path(of: name), origin: node.origin)
    }

    /// `nil` also when the member is absent, without a report, or when `parse` gives `nil`, with the report that
    /// something else than `expected` was found.
    func parsed<Value>(
        _ name: String, expected: String, _ log: inout ProblemLog, _ parse: (String) -> Value?
    ) -> Located<Value>? {
        guard let text = string(name, &log) else { return nil }
        guard let value = parse(text.value) else {
            log.report(text, "expected \(expected), found \(quoted(text.value))")
            return nil
        }
        return Located(value: value, path: text.path, origin: text.origin)
    }

    /// A whole number in `range`, `fallback` when absent.
    func integer(
        _ name: String, in range: ClosedRange<Int>, default fallback: Int, _ log: inout ProblemLog
    ) -> Located<Int>? {
        guard let node = members[name] else { return filled(name, fallback) }
        guard case .integer(let number) = node.value else {
            log.report(path(of: name), "expected a whole number, found \(node.kind)", at: node.origin)
            return nil
        }
        guard let value = Int(exactly: number), range.contains(value) else {
            log.report(
                path(of: name), "\(number) is not in \(range.lowerBound) to \(range.upperBound)", at: node.origin)
            return nil
        }
        return Located(value: value, path: path(of: name), origin: node.origin)
    }

    /// A Boolean, `fallback` when absent.
    func boolean(_ name: String, default fallback: Bool, _ log: inout ProblemLog) -> Located<Bool>? {
        guard let node = members[name] else { return filled(name, fallback) }
        guard case .boolean(let value) = node.value else {
            log.report(path(of: name), "expected true or false, found \(node.kind)", at: node.origin)
            return nil
        }
        return Located(value: value, path: path(of: name), origin: node.origin)
    }

    /// One of an enumeration's words, `fallback` when absent.
    func word<Word: RawRepresentable & CaseIterable>(
        _ name: String, default fallback: Word, _ log: inout ProblemLog
    ) -> Located<Word>? where Word.RawValue == String {
        guard members[name] != nil else { return filled(name, fallback) }
        guard let text = string(name, &log) else { return nil }
        guard let word = Word(rawValue: text.value) else {
            let words = Word.allCases.map(\.rawValue)
            log.report(text, "\(quoted(text.value)) is none of \(words.joined(separator: ", "))")
            return nil
        }
        return Located(value: word, path: text.path, origin: text.origin)
    }

    /// The object inside; absent ones are empty. `nil` when it is no object, or when it is absent and required.
    func object(
        _ name: String, known: [String], required isRequired: Bool = false, _ log: inout ProblemLog
    ) -> Fields? {
        guard let node = isRequired ? required(name, &log) : members[name] else {
            return isRequired ? nil : Fields(absentAt: path(of: name), origin: origin)
        }
        return Fields(node, path: path(of: name), known: known, log: &log)
    }
}
