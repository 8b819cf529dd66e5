public import KVProtocols
import KVReplication

/// One answered, unanswered or refused operation on one key, as the version-chain checker looks at it.
public struct Observation: Sendable {
    public enum Action: Hashable, Sendable {
        case read
        case put
        /// On condition that the key has a value.
        case replace
        case delete
        /// On condition that the key has no value.
        case create
        /// On condition that the key's version is one of these.
        case compare([Version])
        case increment(by: Int64)
    }

    public enum Ending: Hashable, Sendable {
        /// A read's answer.
        case shown(Version, [UInt8])
        /// No value was found.
        case absent
        /// `nil`: the answer didn't name the version.
        case written(Version?)
        /// A condition failed; `nil`: the answer didn't name the current version.
        case failed(Version?)
        /// The write may have happened, at any time after `start`.
        case unknown
        /// The write was refused: it must never show.
        case notApplied
    }

    public var id: UInt64
    public var start: UInt64
    /// `UInt64.max` when no answer came.
    public var end: UInt64
    public var action: Action
    /// What a write writes; `nil` deletes. Of an increment: its result, where it is known.
    public var value: [UInt8]?
    /// The value has an expiry: from then on the key may count as absent.
    public var mayExpire: Bool
    public var ending: Ending

    /// `nil` for what says nothing about the key: a barrier, or a read without an answer.
    public init?(_ call: Call) {
        id = call.id
        start = call.invoked
        end = call.isOpen ? .max : call.returned ?? .max
        value = nil
        mayExpire = false
        switch call.operation {
        case .barrier: return nil
        case .get: action = .read
        case .put(_, let value, let expiresAt, let condition):
            self.value = value
            mayExpire = expiresAt != 0
            action = Self.action(condition, otherwise: .put)
        case .delete(_, let condition):
            action = Self.action(condition, otherwise: .delete)
        case .increment(_, let amount):
            action = .increment(by: amount)
        }
        switch call.outcome {
        case .value(let record):
            guard let value = record.value else { return nil }
            ending = .shown(record.version, value)
        case .absent: ending = .absent
        case .written(let version, _, _, let number):
            if let number { value = Array(String(number).utf8) }
            ending = .written(version == .zero ? nil : version)
        case .conditionFailed(let current): ending = .failed(current)
        case .notANumber(let current): ending = .failed(current)
        case .refused: ending = .notApplied
        case nil, .unknown: ending = .unknown
        case .passed: return nil
        }
        if action == .read, ending == .unknown || ending == .notApplied { return nil }
    }

    private static func action(_ condition: Condition, otherwise: Action) -> Action {
        switch condition {
        case .none: otherwise
        case .present: .replace
        case .absent: .create
        case .version(let versions): .compare(versions)
        }
    }
}
