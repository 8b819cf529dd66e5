import KVProtocols
import KVReplication

/// Messages and changes in words, for the story of a failed run.
enum Words {
    static func text(_ message: Message) -> String {
        switch message {
        case .canvass(let configuration, let polite): "canvass(epoch \(configuration.epoch)\(polite ? ", polite" : ""))"
        case .supported: "supported"
        case .prepare(let configuration, let polite): "prepare(epoch \(configuration.epoch)\(polite ? ", polite" : ""))"
        case .promised: "promised"
        case .accept(let key, let record): "accept(\(key) = \(text(record)))"
        case .accepted(let sequence): "accepted(\(sequence))"
        case .copy(let key, let record): "copy(\(key) = \(text(record)))"
        case .copied(let key, let version): "copied(\(key) \(version))"
        case .confirm(let round): "confirm(\(round))"
        case .confirmed(let round): "confirmed(\(round))"
        case .query(let round, let key): "query(\(round), \(key))"
        case .known(let round, let key, let record): "known(\(round), \(key) = \(record.map(text) ?? "nothing"))"
        case .digest(let round): "digest(\(round))"
        case .digested(let round, _): "digested(\(round))"
        case .walk(let round, let buckets, let after):
            "walk(\(round), \(buckets.nonzeroBitCount) buckets after \(after?.description ?? "start"))"
        case .walked(let round, let page):
            "walked(\(round), \(page.entries.map { "\($0.key) \($0.version)" }.joined(separator: ", "))"
                + "\(page.next.map { " … \($0)" } ?? "."))"
        case .buried(let key, let version): "buried?(\(key) \(version))"
        case .burial(let key, let version, let holds): "burial(\(key) \(version) \(holds))"
        case .purge(let key, let version): "purge(\(key) \(version))"
        case .recall(let round, let buckets, let asPromised, let keys):
            "recall(\(round), \(buckets.nonzeroBitCount) buckets and \(keys)\(asPromised ? ", as promised" : ""))"
        case .recalled(let round, let answer):
            "recalled(\(round), "
                + (answer?.entries.map { "\($0.key) \($0.version?.description ?? "nothing")" }.joined(separator: ", ")
                    ?? "forgotten") + ")"
        case .wishToLead: "wish to lead"
        case .handOver: "hand over"
        case .resigned: "resigned"
        case .install(let configuration): "install(\(text(configuration)))"
        case .rejected(let why):
            "rejected(\(why.reason), promised \(why.promised), epoch \(why.epoch), purge epoch \(why.purgeEpoch))"
        }
    }

    static func text(_ header: Header) -> String { "[e\(header.epoch) b\(header.ballot) p\(header.purgeEpoch)]" }

    static func text(_ record: Record) -> String {
        let value = record.value.map { String(decoding: $0, as: UTF8.self) } ?? "tombstone"
        return "\(value) @\(record.version)\(record.expiresAt == 0 ? "" : " until \(record.expiresAt)")"
    }

    static func text(_ configuration: Configuration) -> String {
        let members = configuration.members.map(\.description).joined(separator: ",")
        let previous = configuration.previous.map { " from " + $0.map(\.description).joined(separator: ",") } ?? ""
        return "epoch \(configuration.epoch): \(members)\(previous)"
    }

    static func text(_ operation: Operation) -> String {
        switch operation {
        case .get(let key): "get \(key)"
        case .put(let key, let value, let expiresAt, let condition):
            "put \(key) = \(String(decoding: value, as: UTF8.self))"
                + (expiresAt == 0 ? "" : " until \(expiresAt)") + text(condition)
        case .delete(let key, let condition): "delete \(key)" + text(condition)
        case .increment(let key, let amount): "increment \(key) by \(amount)"
        case .barrier: "barrier"
        }
    }

    static func text(_ condition: Condition) -> String {
        switch condition {
        case .none: ""
        case .present: " if present"
        case .absent: " if absent"
        case .version(let versions): " if version " + versions.map(\.description).joined(separator: " or ")
        }
    }

    static func text(_ outcome: Outcome) -> String {
        switch outcome {
        case .value(let record): "value \(text(record))"
        case .absent: "absent"
        case .passed: "passed"
        case .written(let version, let acks, let required, let value):
            "written @\(version) on \(acks)/\(required)\(value.map { " = \($0)" } ?? "")"
        case .conditionFailed(let current): "condition failed, current \(current?.description ?? "none")"
        case .notANumber(let current): "not a number @\(current)"
        case .refused(let why): "refused: \(why)"
        case .unknown(let acked, let required): "unknown, \(acked)/\(required)"
        }
    }

    static func text(_ change: SimulatedStore.Change) -> String {
        switch change {
        case .put(let key, let record): "put \(key) = \(text(record))"
        case .purge(let key): "purge \(key)"
        case .save(let state): "save b\(state.promised) p\(state.purgeEpoch) \(text(state.configuration))"
        case .wipe: "wipe"
        }
    }
}
