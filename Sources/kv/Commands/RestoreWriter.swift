import KVProtocols
import KVSnapshot

/// Writes one key at a time, and finds out how a write ended of which nobody knows.
struct RestoreWriter {
    enum Outcome: Hashable {
        case written
        /// The key has this value.
        case present
        /// The key has another value.
        case different
    }

    struct Counts {
        var written = 0
        var present = 0
        /// Deleted or expired in the snapshot.
        var gone = 0
        var different = 0
        /// The first of those that differ.
        var examples: [String] = []

        var all: Int { written + present + gone + different }

        mutating func add(_ key: Key, _ outcome: Outcome) {
            switch outcome {
            case .written: written += 1
            case .present: present += 1
            case .different:
                different += 1
                if examples.count < 10 { examples.append(key.description) }
            }
        }
    }

    private static let patience = Duration.seconds(60)

    let target: TargetOptions
    let overwrites: Bool

    /// Puts the value, creating the key unless what exists may be overwritten.
    ///
    /// A refusal is tried again for a minute. So is a create whose outcome is unknown, which is harmless: it takes effect once,
    /// whichever attempt it was, and finds the key there afterwards. With `overwrites` an attempt of unknown outcome that takes
    /// effect late writes the same value again, over whatever another client has written in between.
    func put(_ entry: SnapshotRecord) async throws -> Outcome {
        let key = String(decoding: entry.key.bytes, as: UTF8.self)
        return try await RestoreWriter.put(key, Repetition(for: RestoreWriter.patience)) {
            try await attempt(key, entry.record)
        }
    }

    static func put(
        _ key: String, _ repetition: Repetition, ask: () async throws -> Outcome
    ) async throws -> Outcome {
        try await repetition.run {
            "\(key) could not be written: \($0). The same command goes on from here"
        } _: {
            do {
                return try await ask()
            } catch var failure as CommandFailure where failure.code == .notFound {
                // What was there when the key was to be created was deleted before it could be compared.
                failure.mayPass = true
                throw failure
            }
        }
    }

    private func attempt(_ key: String, _ record: Record) async throws -> Outcome {
        let now = WallClock.milliseconds()
        guard record.expiresAt == 0 || record.expiresAt > now else { return .present }
        let ttl = record.expiresAt == 0 ? nil : String(Double(record.expiresAt - now) / 1_000)
        var headers = [("content-type", "application/octet-stream")]
        if !overwrites { headers.append(("if-none-match", "*")) }
        let answer = try await target.client.send(
            .put, try target.target(key, [("ttl", ttl)]), headers: headers, body: record.value ?? [])
        if answer.status < 300 { return .written }
        if answer.status == 412 { return try await compare(key, record) }
        throw StoreClient.failure(status: answer.status, ProblemDocument(answer.body))
    }

    /// Of values alone: a time of expiry is told to the server as the time that is left.
    private func compare(_ key: String, _ record: Record) async throws -> Outcome {
        let answer = try await target.client.request(
            .get, try target.target(key), headers: [("accept", "application/octet-stream")])
        return answer.body == record.value ? .present : .different
    }
}
