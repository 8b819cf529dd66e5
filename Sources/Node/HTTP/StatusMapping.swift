internal import Hummingbird
internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import KVReplication

/// The one place where outcomes become HTTP statuses.
///
/// | outcome | status |
/// |---|---|
/// | written | 200, 201 when `If-None-Match: *` created the key |
/// | value | 200 |
/// | absent | 404 for a read, 204 for a delete |
/// | conditionFailed | 412 with the current `ETag` |
/// | notANumber | 409 |
/// | refused | 503, nothing was or will be written |
/// | unknown | 504, the write may take effect now, later or never |
enum StatusMapping {
    /// What is not a problem.
    enum Success {
        case written(HTTPResponse.Status, Version, acks: Int, required: Int, value: Int64?)
        case value(Record)
        /// A delete found nothing to delete.
        case nothingToDelete
    }

    /// - Throws: the problem that the outcome is.
    static func success(of answer: Answer, to operation: Operation) throws(Problem) -> Success {
        switch answer.outcome {
        case .value(let record):
            guard record.value != nil else { throw absent }
            return .value(record)
        case .absent:
            guard case .delete = operation else { throw absent }
            return .nothingToDelete
        case .written(let version, let acks, let required, let value):
            var status = HTTPResponse.Status.ok
            if case .put(_, _, _, .absent) = operation { status = .created }
            return .written(status, version, acks: acks, required: required, value: value)
        case .conditionFailed(let current):
            throw conditionFailed(current)
        case .notANumber(let current):
            throw Problem(
                .conflict, "not_a_number", "the value is not a whole number, or the sum does not fit 64 bits",
                outcome: .notApplied, headers: [.eTag: current.entityTag])
        case .refused(let refusal):
            throw refused(refusal, isWrite: operation.isWrite)
        case .unknown(let acked, let required):
            throw unknown(acked: acked, required: required, isWrite: operation.isWrite)
        case .passed:
            throw Problem(.internalServerError, "internal", "a barrier's outcome where a key's was expected")
        }
    }

    static let absent = Problem(.notFound, "not_found", "the key has no value")

    static func conditionFailed(_ current: Version?) -> Problem {
        Problem(
            .preconditionFailed, "condition_failed",
            current.map { "the key's version is \($0)" } ?? "the key has no value", outcome: .notApplied,
            headers: current.map { [.eTag: $0.entityTag] } ?? [:])
    }

    private static func unknown(acked: Int, required: Int, isWrite: Bool) -> Problem {
        Problem(
            .gatewayTimeout, "outcome_unknown",
            isWrite
                ? "\(acked) of \(required) members confirmed the write in time; it may take effect now, later or never"
                : "the leader did not answer in time",
            outcome: isWrite ? .unknown : nil, acked: acked, required: required)
    }

    private static func refused(_ refusal: Refusal, isWrite: Bool) -> Problem {
        var problem: Problem
        switch refusal {
        case .noQuorum(let reachable, let required):
            problem = .serviceUnavailable(
                "no_quorum", "\(reachable) members of the key's partition can be reached, \(required) are required")
            problem.acked = 0
            problem.required = required
        case .timeout:
            problem = .serviceUnavailable("timeout", "the time given passed before the operation could begin")
        case .electing:
            problem = .serviceUnavailable("electing", "the key's partition is choosing a leader")
        case .notLeader:
            problem = .serviceUnavailable("not_leader", "the leader of the key's partition is changing")
        case .overloaded:
            problem = .serviceUnavailable("overloaded", "the node holds its limit of waiting operations")
        case .full:
            problem = Problem(
                HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), "disk_full",
                "the disk of the node that leads the key is full", outcome: .notApplied)
        case .failed:
            problem = .serviceUnavailable("storage_failed", "the storage of the node that leads the key failed")
        }
        if !isWrite { problem.outcome = nil }
        return problem
    }

    /// For reads of what this node itself holds.
    static func problem(of error: StorageError, node: String) -> Problem {
        switch error.code {
        case .invalid:
            Problem(.notFound, "not_a_member", "\(node) is no member of the key's partition; /map?key= names them")
        case .full:
            Problem(
                HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), "disk_full",
                "the disk of \(node) is full", outcome: .notApplied)
        case .damaged:
            .serviceUnavailable("damaged", "what \(node) holds of the key fails verification and is being repaired")
        case .readOnly, .poisoned, .inUse, .foreign, .unsupported, .io, .closed:
            .serviceUnavailable("storage_failed", "the storage of \(node) failed")
        }
    }
}
