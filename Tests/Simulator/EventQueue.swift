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
    case cancel(NodeID, boot: Int, operation: UInt64)
    case install(NodeID, Configuration)
    case heartbeat(from: NodeID, epoch: UInt64, isSynced: Bool)
    case heartbeats
    case restart(NodeID)
    case heal
    case client
    case fault
    case calm

    /// The node that must be awake for it.
    var node: NodeID? {
        switch self {
        case .deliver(let node, _, _, _), .ownMessage(let node, _, _, _), .tick(let node, _), .turnEnd(let node, _),
            .synced(let node, _, _), .hint(let node, _, _, _), .cancel(let node, _, _), .install(let node, _):
            node
        case .heartbeat, .heartbeats, .restart, .heal, .client, .fault, .calm: nil
        }
    }
}

/// A binary heap of events by time, and by order of scheduling where times are equal.
struct EventQueue {
    private struct Entry {
        let time: UInt64
        let order: UInt64
        let event: Event

        func precedes(_ other: Entry) -> Bool { time != other.time ? time < other.time : order < other.order }
    }

    private var heap: [Entry] = []
    private var scheduled: UInt64 = 0

    mutating func schedule(_ event: Event, at time: UInt64) {
        scheduled += 1
        heap.append(Entry(time: time, order: scheduled, event: event))
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    var nextTime: UInt64? { heap.first?.time }

    mutating func popFirst() -> (time: UInt64, event: Event)? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].precedes(heap[least]) { least = child }
            }
            guard least != parent else { break }
            heap.swapAt(parent, least)
            parent = least
        }
        return (first.time, first.event)
    }
}
