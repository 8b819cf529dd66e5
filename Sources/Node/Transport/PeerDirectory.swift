internal import KVProtocols
internal import Synchronization

/// What other threads see of the links. The event loop writes it.
final class PeerDirectory: Sendable {
    private let outboxes = Mutex<[NodeID: PeerOutbox]>([:])
    private let reported = Mutex<Set<NodeID>>([])
    private let figures = Mutex(PeerCounters())

    var connected: [NodeID] { reported.withLock { $0.sorted() } }
    var counters: PeerCounters { figures.withLock { $0 } }

    func outbox(of node: NodeID) -> PeerOutbox? {
        outboxes.withLock { $0[node] }
    }

    func setOutbox(_ outbox: PeerOutbox?, of node: NodeID) {
        outboxes.withLock { $0[node] = outbox }
    }

    func setConnected(_ isConnected: Bool, _ node: NodeID) {
        reported.withLock { nodes in
            if isConnected { nodes.insert(node) } else { nodes.remove(node) }
        }
    }

    func count(_ change: (inout PeerCounters) -> Void) {
        figures.withLock { change(&$0) }
    }
}
