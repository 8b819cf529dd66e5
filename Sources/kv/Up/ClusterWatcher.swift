import KVConfiguration
import Synchronization

/// Tells the person at the terminal what happens to the cluster: once when it is healthy, and every event after.
final class ClusterWatcher: Sendable {
    private static let interval = Duration.seconds(1)
    private static let startInterval = Duration.milliseconds(100)

    private let cluster: ClusterConfiguration
    private let client: StoreClient
    private let healthy = Atomic<Bool>(false)

    init(cluster: ClusterConfiguration) {
        self.cluster = cluster
        client = StoreClient(url: "http://\(cluster.controller.advertise)", timeout: .seconds(2))
    }

    /// Whether the cluster was healthy at any time.
    var wasHealthy: Bool { healthy.load(ordering: .relaxed) }

    /// - Returns: `false` when cancelled before the controller answered.
    func waitForController() async -> Bool {
        while !Task.isCancelled {
            if await answer("/livez", as: Empty.self) != nil { return true }
            do { try await Task.sleep(for: ClusterWatcher.startInterval) } catch { return false }
        }
        return false
    }

    /// Watches until cancelled.
    func watch() async {
        var lastEvent: UInt64?
        var verdict = ""
        while !Task.isCancelled {
            if let events = await answer(eventsPath(after: lastEvent), as: EventsDocument.self)?.events {
                for event in events { say(event) }
                lastEvent = events.last?.id ?? lastEvent ?? 0
            }
            if let health = await answer("/health", as: HealthDocument.self), health.verdict != verdict {
                verdict = health.verdict
                report(health)
            }
            let interval = wasHealthy ? ClusterWatcher.interval : ClusterWatcher.startInterval
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }

    private func eventsPath(after event: UInt64?) -> String {
        event.map { "/events?after=\($0)" } ?? "/events?limit=1"
    }

    private func report(_ health: HealthDocument) {
        guard health.verdict == "ok" else {
            let reasons =
                health.reasons.isEmpty
                ? ""
                : ": " + health.reasons.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }.joined(separator: "; ")
            return Terminal.say("cluster is \(health.verdict)\(Terminal.printable(reasons))")
        }
        Terminal.say("cluster is healthy: \(health.nodes.up) of \(health.nodes.total) nodes are up")
        guard !healthy.exchange(true, ordering: .relaxed) else { return }
        Terminal.say("open \(cluster.controller.publicURL) in a browser; Ctrl-C stops the cluster")
        for node in cluster.nodes { Terminal.say("  \(node.name): \(node.publicURL)") }
    }

    private func say(_ event: EventDocument) {
        let mark = event.severity == "info" ? "" : "\(event.severity): "
        Terminal.say("cluster: \(mark)\(Terminal.printable(event.message))")
    }

    /// The document at `path`; `nil` when the controller has none at the moment, which the next look may change.
    private func answer<Document: Decodable>(_ path: String, as type: Document.Type) async -> Document? {
        do {
            return try await client.document(path, as: type)
        } catch {
            return nil
        }
    }

    private struct Empty: Decodable {}
}
