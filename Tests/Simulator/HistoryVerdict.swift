import KVProtocols
import KVReplication

/// What all checkers say of a history of many keys: the version chain of every key, and the full search for keys with
/// few enough calls.
public struct HistoryVerdict: Sendable {
    public private(set) var violations: [Violation] = []
    public private(set) var keys = 0
    /// Keys that were searched in full, and those of them where the search was given up.
    public private(set) var searched = 0
    public private(set) var undecided = 0

    /// - Parameters:
    ///   - history: calls in any order; those without a key are passed over.
    ///   - searchLimit: keys with more calls are checked by their versions only.
    public init(_ history: [Call], searchLimit: Int = 200) {
        var byKey: [Key: [Call]] = [:]
        for call in history {
            if let key = call.operation.key { byKey[key, default: []].append(call) }
        }
        for key in byKey.keys.sorted() {
            keys += 1
            check(key, byKey[key] ?? [], searchLimit: searchLimit)
        }
    }

    private mutating func check(_ key: Key, _ calls: [Call], searchLimit: Int) {
        for text in VersionChainChecker(calls).violations {
            violations.append(Violation(.versions, "\(key): \(text)"))
        }
        guard calls.count <= searchLimit else { return }
        searched += 1
        var checker = LinearizabilityChecker(calls)
        checker.limit = 100_000
        switch checker.check() {
        case .linearizable: break
        case .undecided: undecided += 1
        case .violated:
            let lines = calls.map(\.description).joined(separator: "\n  ")
            violations.append(Violation(.linearizability, "the history of \(key) has no linear order:\n  \(lines)"))
        }
    }
}

extension Call: CustomStringConvertible {
    /// Number, begin and end in milliseconds, operation and answer.
    public var description: String {
        let end = returned.map { "\($0 / 1_000)" } ?? "…"
        return "#\(id) \(invoked / 1_000)–\(end) \(Words.text(operation)): \(outcome.map(Words.text) ?? "no answer")"
    }
}
