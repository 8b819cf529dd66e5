import KVProtocols
public import KVReplication

/// One client operation as the client saw it.
public struct Call: Sendable {
    public var id: UInt64
    public var operation: Operation
    /// What the leader's wall clock said; judges expiry.
    public var wall: UInt64
    public var invoked: UInt64
    /// `nil` when no answer came: the operation may take effect at any time after `invoked`, or never.
    public var returned: UInt64?
    public var outcome: Outcome?

    public init(
        id: UInt64, operation: Operation, wall: UInt64 = 0, invoked: UInt64, returned: UInt64? = nil,
        outcome: Outcome? = nil
    ) {
        self.id = id
        self.operation = operation
        self.wall = wall
        self.invoked = invoked
        self.returned = returned
        self.outcome = outcome
    }

    /// Whether it has to be explained at all: what was refused must not have happened, and an unanswered read says
    /// nothing.
    var counts: Bool {
        switch outcome {
        case .refused: false
        case nil, .unknown: operation.isWrite
        default: operation.key != nil
        }
    }

    var isOpen: Bool {
        switch outcome {
        case nil, .unknown: true
        default: false
        }
    }
}

/// A key's state between two operations. Versions only grow; `floor` is the highest that is known of so far. A record
/// may be written again under a newer version without any client asking for it, so the version may be above the floor.
struct KeyState: Hashable {
    var value: [UInt8]?
    var expiresAt: UInt64 = 0
    var floor: Version = .zero
}

/// Whether one key's calls have an order that explains every answer: the search of Wing and Gong with Lowe's memory.
public struct LinearizabilityChecker {
    public enum Verdict: Hashable, Sendable {
        case linearizable
        case violated
        /// The search was given up; counts as a failure of the test, not of the store.
        case undecided
    }

    /// Places of the search that are looked at before it is given up.
    public var limit = 500_000

    private let calls: [Call]
    /// For a call: the highest wall clock of any call of the key invoked before it returned. Beyond it nothing can have expired.
    private var walls: [UInt64] = []
    /// The calls whose answers name a version.
    private let versions: [(index: Int, version: Version)]

    public init(_ history: [Call]) {
        calls = history.filter(\.counts).sorted {
            let left = $0.isOpen ? UInt64.max : $0.returned ?? .max
            let right = $1.isOpen ? UInt64.max : $1.returned ?? .max
            return left != right ? left < right : $0.id < $1.id
        }
        versions = calls.enumerated().compactMap { index, call in Self.version(of: call).map { (index, $0) } }
        let all = history.filter { $0.operation.key != nil }
        walls = calls.map { call in
            let end = call.isOpen ? UInt64.max : call.returned ?? .max
            return all.filter { $0.invoked <= end }.map(\.wall).max() ?? 0
        }
    }

    private struct Place: Hashable {
        var done: [UInt64]
        var state: KeyState
    }

    public func check() -> Verdict {
        let start = Place(done: [UInt64](repeating: 0, count: (calls.count + 63) / 64), state: KeyState())
        var seen: Set<Place> = [start]
        var stack = [start]
        while let place = stack.popLast() {
            func isDone(_ index: Int) -> Bool { place.done[index >> 6] & (1 << UInt64(index & 63)) != 0 }
            // Calls are sorted by return: the first one left that was answered bounds what may come before it.
            guard let first = calls.indices.first(where: { !isDone($0) }), !calls[first].isOpen,
                let deadline = calls[first].returned
            else { return .linearizable }
            for index in calls.indices.reversed() where !isDone(index) && calls[index].invoked <= deadline {
                for state in Self.outcomes(of: calls[index], in: place.state, maximumWall: walls[index]) {
                    var next = Place(done: place.done, state: state)
                    next.done[index >> 6] |= 1 << UInt64(index & 63)
                    guard !leavesBehind(next) else { continue }
                    if seen.insert(next).inserted { stack.append(next) }
                }
            }
            if seen.count > limit { return .undecided }
        }
        return .violated
    }

    /// Whether a call that is still to come was answered with a version that is already passed: a dead end.
    private func leavesBehind(_ place: Place) -> Bool {
        for (index, version) in versions where version < place.state.floor {
            if place.done[index >> 6] & (1 << UInt64(index & 63)) == 0 { return true }
        }
        return false
    }

    /// The version that an answer names.
    private static func version(of call: Call) -> Version? {
        switch call.outcome {
        case .value(let record): record.version
        // Version zero: the answer of a write that didn't name one.
        case .written(.zero, _, _, _): nil
        case .written(let version, _, _, _), .notANumber(let version): version
        case .conditionFailed(let version): version
        default: nil
        }
    }

    /// The states that the call may leave, if its answer fits the state before it; empty when it doesn't.
    static func outcomes(of call: Call, in state: KeyState, maximumWall: UInt64) -> [KeyState] {
        var results: [KeyState] = []
        let mustBeGone = state.expiresAt != 0 && state.expiresAt <= call.wall
        if !mustBeGone, let result = apply(call, to: state) { results.append(result) }
        if state.value != nil, state.expiresAt != 0, state.expiresAt <= maximumWall {
            var gone = state
            gone.value = nil
            gone.expiresAt = 0
            if let result = apply(call, to: gone) { results.append(result) }
        }
        return results
    }

    private static func apply(_ call: Call, to state: KeyState) -> KeyState? {
        switch call.outcome {
        case .value(let record):
            guard record.value == state.value, state.value != nil, record.version >= state.floor else { return nil }
            var state = state
            state.floor = record.version
            return state
        case .absent:
            return state.value == nil ? state : nil
        case .conditionFailed(let current):
            guard let seen = observe(current, state) else { return nil }
            return holds(call.operation, current, state.value != nil) ? nil : seen
        case .notANumber(let current):
            guard let seen = observe(current, state), sum(call.operation, state.value) == nil else { return nil }
            return seen
        case .written(let version, _, _, let number):
            return write(call.operation, version: version == .zero ? nil : version, number: number, state)
        case nil, .unknown:
            return write(call.operation, version: nil, number: nil, state)
        case .passed, .refused:
            return state
        }
    }

    /// Takes in that the key's version is `current`, `nil` being no value.
    private static func observe(_ current: Version?, _ state: KeyState) -> KeyState? {
        guard let current else { return state.value == nil ? state : nil }
        guard state.value != nil, current >= state.floor else { return nil }
        var state = state
        state.floor = current
        return state
    }

    private static func holds(_ operation: Operation, _ current: Version?, _ isPresent: Bool) -> Bool {
        switch operation {
        case .put(_, _, _, let condition), .delete(_, let condition):
            switch condition {
            case .none: true
            case .present: isPresent
            case .absent: !isPresent
            case .version(let versions): current.map(versions.contains) ?? false
            }
        case .get, .increment, .barrier: true
        }
    }

    private static func write(_ operation: Operation, version: Version?, number: Int64?, _ state: KeyState) -> KeyState?
    {
        if let version, version <= state.floor { return nil }
        // A write on condition of a version happened while the key had one of them, not below the floor.
        switch operation {
        case .put(_, _, _, .version(let versions)), .delete(_, .version(let versions)):
            guard state.value != nil, versions.contains(where: { $0 >= state.floor }) else { return nil }
        case .put(_, _, _, .present), .delete(_, .present):
            guard state.value != nil else { return nil }
        case .put(_, _, _, .absent), .delete(_, .absent):
            guard state.value == nil else { return nil }
        default: break
        }
        var state = state
        state.floor = version ?? state.floor
        switch operation {
        case .put(_, let value, let expiresAt, _):
            state.value = value
            state.expiresAt = expiresAt
        case .delete:
            state.value = nil
            state.expiresAt = 0
        case .increment:
            guard let sum = sum(operation, state.value), number.map({ $0 == sum }) ?? true else { return nil }
            state.expiresAt = state.value == nil ? 0 : state.expiresAt
            state.value = Array(String(sum).utf8)
        case .get, .barrier: break
        }
        return state
    }

    private static func sum(_ operation: Operation, _ value: [UInt8]?) -> Int64? {
        guard case .increment(_, let amount) = operation else { return nil }
        guard let value else { return amount }
        guard let number = Int64(String(decoding: value, as: UTF8.self)) else { return nil }
        let (sum, overflow) = number.addingReportingOverflow(amount)
        return overflow ? nil : sum
    }
}
