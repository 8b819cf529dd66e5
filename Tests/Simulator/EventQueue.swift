import KVProtocols
import KVReplication

/// Something that will happen to the simulated world.
enum Event {
    case deliver(to: NodeID, from: NodeID, Header, Message)
    /// What a node says to itself; lost when it restarts.
    case ownMessage(NodeID, boot: Int, Header, Message)
    case tick(NodeID, boot: Int)
    case turnEnd(NodeID, boot: Int)
    case synced(NodeID, boot: Int, upTo: UInt64)
    case hint(NodeID, boot: Int, peer: NodeID, isBack: Bool)
    case disk(NodeID, boot: Int, isFull: Bool)
    case scrub(NodeID, boot: Int)
    case cancel(NodeID, boot: Int, operation: UInt64)
    case install(NodeID, Configuration)
    case heartbeat(from: NodeID, SimulatedController.Report)
    case heartbeats
    case plan
    case controllerRestart(map: Configuration)
    case restart(NodeID)
    case heal
    case client
    case fault
    case calm

    /// The node that must be awake for it.
    var node: NodeID? {
        switch self {
        case .deliver(let node, _, _, _), .ownMessage(let node, _, _, _), .tick(let node, _), .turnEnd(let node, _),
            .synced(let node, _, _), .hint(let node, _, _, _), .cancel(let node, _, _), .install(let node, _),
            .disk(let node, _, _), .scrub(let node, _):
            node
        case .heartbeat, .heartbeats, .plan, .controllerRestart, .restart, .heal, .client, .fault, .calm: nil
        }
    }
}

/// Events by time, and by order of scheduling where times are equal: a binary heap, and in front of it a line for what is
/// to happen at once, which is about half of all. Both hold places of events only: they are large.
struct EventQueue {
    private struct Entry {
        let time: UInt64
        let order: UInt64
        let place: Int

        func precedes(_ other: Entry) -> Bool { time != other.time ? time < other.time : order < other.order }
    }

    private var heap: [Entry] = []
    /// All of the time of the last event that was taken.
    private var line: [Entry] = []
    private var lineHead = 0
    private var current: UInt64 = 0
    private var events: [Event] = []
    private var free: [Int] = []
    private var scheduled: UInt64 = 0

    mutating func schedule(_ event: Event, at time: UInt64) {
        scheduled += 1
        let place: Int
        if let last = free.popLast() {
            place = last
            events[place] = event
        } else {
            place = events.count
            events.append(event)
        }
        let entry = Entry(time: time, order: scheduled, place: place)
        guard time != current else { return line.append(entry) }
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, entry.precedes(heap[(child - 1) / 2]) {
            heap[child] = heap[(child - 1) / 2]
            child = (child - 1) / 2
        }
        heap[child] = entry
    }

    var nextTime: UInt64? { lineHead < line.count ? current : heap.first?.time }

    mutating func popFirst() -> (time: UInt64, event: Event)? {
        let next: Entry
        if lineHead < line.count, heap.first.map({ line[lineHead].precedes($0) }) ?? true {
            next = line[lineHead]
            lineHead += 1
            if lineHead == line.count {
                line.removeAll(keepingCapacity: true)
                lineHead = 0
            }
        } else {
            guard let first = heap.first, let last = heap.popLast() else { return nil }
            if !heap.isEmpty { sink(last) }
            next = first
        }
        current = next.time
        // Lets go of what the event holds.
        var event = Event.calm
        swap(&event, &events[next.place])
        free.append(next.place)
        return (next.time, event)
    }

    /// Finds the place of `entry` from the top of the heap, whose first place is empty.
    private mutating func sink(_ entry: Entry) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(entry) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}
