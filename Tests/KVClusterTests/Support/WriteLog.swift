import Synchronization
import Testing

/// What writers were told: per key the last value acknowledged, and those tried after it. Each key has one writer.
final class WriteLog: Sendable {
    private struct Entry {
        var acknowledged: String?
        var open: [String] = []
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let total = Atomic<Int>(0)

    /// Writes acknowledged so far.
    var count: Int { total.load(ordering: .relaxed) }
    var keys: [String] { entries.withLock { $0.keys.sorted() } }

    func begin(_ key: String, _ value: String) {
        entries.withLock { $0[key, default: Entry()].open.append(value) }
    }

    func acknowledge(_ key: String, _ value: String) {
        total.add(1, ordering: .relaxed)
        entries.withLock { $0[key] = Entry(acknowledged: value) }
    }

    /// That nothing of this write will ever be seen.
    func notApplied(_ key: String, _ value: String) {
        entries.withLock { $0[key]?.open.removeAll { $0 == value } }
    }

    /// Whether a read may give this value (`nil`: none) now that no write is under way.
    func allows(_ key: String, _ value: String?) -> Bool {
        entries.withLock { entries in
            guard let entry = entries[key] else { return value == nil }
            return value == entry.acknowledged || value.map(entry.open.contains) ?? false
        }
    }

    /// One write whose outcome goes into the log.
    /// - Returns: its status; `nil` when there was no answer.
    @discardableResult func put(_ key: String, _ value: String, to server: HTTP, timeout: Int = 5_000) async -> Int? {
        begin(key, value)
        do {
            let answer = try await server.put(key, value, query: "?timeout=\(timeout)")
            if answer.status == 200 {
                acknowledge(key, value)
            } else if answer.json["outcome"].string == "not_applied" {
                notApplied(key, value)
            }
            return answer.status
        } catch {
            return nil
        }
    }

    /// Reads every key at the servers in turn and compares.
    func verify(at servers: [HTTP], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for (index, key) in keys.enumerated() {
            let server = servers[index % servers.count]
            try await eventually("\(key) can be read", sourceLocation: sourceLocation) {
                [200, 404].contains(try await server.get("/kv/\(key)").status)
            }
            let answer = try await server.get("/kv/\(key)")
            #expect(
                allows(key, answer.json["value"].string), "\(key) is \(answer.text)", sourceLocation: sourceLocation)
        }
    }
}

/// Runs `body` for every element, so many at a time.
func concurrently<Element: Sendable>(
    _ elements: some Sequence<Element>, width: Int = 8, _ body: @escaping @Sendable (Element) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        var iterator = elements.makeIterator()
        for _ in 0..<width {
            guard let element = iterator.next() else { break }
            group.addTask { try await body(element) }
        }
        while try await group.next() != nil {
            guard let element = iterator.next() else { continue }
            group.addTask { try await body(element) }
        }
    }
}
