/// The last events.
///
/// Events are stored in segments of a hundred, so that a new one rewrites little.
struct EventLog {
    static let capacity = 1000
    static let segmentLength: UInt64 = 100
    /// One more than the capacity needs, because the oldest segment is only partly within it.
    static let segments: UInt64 = 11

    private(set) var events: [ClusterEvent] = []
    /// Segments that differ from what is stored.
    private(set) var dirty: Set<UInt64> = []
    private var nextID: UInt64 = 1

    init() {}

    /// Continues a stored log. Events of the last second before a crash were perhaps seen but not stored: their
    /// numbers are not given again.
    init(stored: [ClusterEvent]) {
        events = Array(stored.sorted { $0.id < $1.id }.suffix(EventLog.capacity))
        if let last = events.last { nextID = last.id + 16 }
    }

    mutating func append(
        _ kind: ClusterEvent.Kind, _ severity: ClusterEvent.Severity, _ message: String, node: String?,
        figures: ClusterEvent.Figures = ClusterEvent.Figures(), wall: Int
    ) -> ClusterEvent {
        let event = ClusterEvent(
            id: nextID, time: ControllerClock.text(ofWall: wall), kind: kind, severity: severity, message: message,
            node: node, figures: figures)
        nextID += 1
        events.append(event)
        if events.count > EventLog.capacity { events.removeFirst(events.count - EventLog.capacity) }
        dirty.insert(EventLog.segment(of: event.id))
        return event
    }

    static func segment(of id: UInt64) -> UInt64 { id / segmentLength % segments }

    func events(inSegment segment: UInt64) -> [ClusterEvent] {
        events.filter { EventLog.segment(of: $0.id) == segment }
    }

    mutating func markStored(_ segments: Set<UInt64>) {
        dirty.subtract(segments)
    }

    /// Up to `limit` events with higher numbers than `after`, oldest first; without `after`, the newest ones.
    func page(after: UInt64?, limit: Int) -> [ClusterEvent] {
        guard let after else { return Array(events.suffix(max(0, limit))) }
        return Array(events.drop { $0.id <= after }.prefix(max(0, limit)))
    }
}
