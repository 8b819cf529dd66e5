import KVProtocols
import KVReplication

/// One operation as a line of a history file: what a fault test writes down and `kv-sim check` reads. Times are in
/// nanoseconds of one clock; keys and values are text.
public struct HistoryLine: Hashable, Sendable, Codable {
    public enum Name: String, Hashable, Sendable, Codable { case put, delete, get, cas, create, increment }

    public enum Ending: String, Hashable, Sendable, Codable {
        case ok, absent, unknown
        case conditionFailed = "condition_failed"
        case notApplied = "not_applied"
    }

    public var client: Int
    public var key: String
    public var op: Name
    public var start: UInt64
    /// `nil` when no answer came.
    public var end: UInt64?
    public var outcome: Ending
    /// What was written or read; of an increment its result.
    public var value: String?
    /// Of the record written or read, or of the one that made a condition fail; `nil` when the answer didn't say.
    public var version: String?
    /// What a cas was made on condition of.
    public var expected: String?
    /// The amount of an increment; 1 when absent.
    public var by: Int64?
}

/// What makes a line of a history meaningless.
public struct HistoryLineError: Error, CustomStringConvertible, Sendable {
    public let description: String
}

extension HistoryLine {
    /// The call that the line tells of; `id` is its number in the file.
    /// - Throws: `HistoryLineError` when a version is none, or the line lacks what its operation needs.
    public func call(id: UInt64) throws(HistoryLineError) -> Call {
        if let end, end < start { throw HistoryLineError(description: "it ends before it starts") }
        let operation = try operation()
        var call = Call(id: id, operation: operation, invoked: start, returned: end)
        call.outcome = try answer()
        if end == nil, call.outcome.map({ !Self.isOpen($0) }) ?? false {
            throw HistoryLineError(description: "it has an outcome, but no end")
        }
        return call
    }

    private static func isOpen(_ outcome: Outcome) -> Bool {
        switch outcome {
        case .unknown, .refused: true
        default: false
        }
    }

    private func operation() throws(HistoryLineError) -> Operation {
        let key = Key(unchecked: Array(self.key.utf8))
        let bytes = Array((value ?? "").utf8)
        switch op {
        case .get: return .get(key)
        case .put: return .put(key, value: bytes, expiresAt: 0, .none)
        case .create: return .put(key, value: bytes, expiresAt: 0, .absent)
        case .delete: return .delete(key, .none)
        case .increment: return .increment(key, by: by ?? 1)
        case .cas:
            guard let expected = try version(expected, "expected") else {
                throw HistoryLineError(description: "a cas needs an expected version")
            }
            return .put(key, value: bytes, expiresAt: 0, .version([expected]))
        }
    }

    private func answer() throws(HistoryLineError) -> Outcome? {
        let told = try version(version, "version")
        switch outcome {
        case .unknown: return op == .get ? nil : .unknown(acked: 0, required: 0)
        case .notApplied: return .refused(.failed)
        case .absent: return .absent
        case .conditionFailed:
            // Not said is not the same as none: such an answer says only that nothing was written.
            return told.map { .conditionFailed(current: $0) } ?? .refused(.failed)
        case .ok where op == .get:
            guard let told, let value else {
                throw HistoryLineError(description: "a read needs a value and its version")
            }
            let key = Key(unchecked: Array(self.key.utf8))
            return .value(Record(key: key, version: told, value: Array(value.utf8)))
        case .ok:
            let number = op == .increment ? value.flatMap { Int64($0) } : nil
            if op == .increment, number == nil {
                throw HistoryLineError(description: "an increment needs its result as value")
            }
            return .written(told ?? .zero, acks: 0, required: 0, value: number)
        }
    }

    private func version(_ text: String?, _ name: String) throws(HistoryLineError) -> Version? {
        guard let text else { return nil }
        guard let version = Version(text) else {
            throw HistoryLineError(description: "\(name) \"\(text)\" is not counter.node.sequence")
        }
        return version
    }
}
