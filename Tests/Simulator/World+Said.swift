import KVProtocols
import KVReplication

/// What is checked at the moment at which a member says something.
extension World {
    /// What a member says of itself outlives its process: it is on its disk when it is said. Whether that matters shows
    /// only when the member crashes a moment later and a leader has counted on it; here it is seen at once.
    func checkSaid(_ outgoing: Outgoing, by node: SimulatedNode) {
        switch outgoing.message {
        case .promised, .confirmed:
            if node.store.disk.state.promised < outgoing.header.ballot {
                violation(
                    .durability, "\(node.id) says that it obeys \(outgoing.header.ballot), which is not on its disk")
            }
        case .known(_, let key, let record?):
            // What was purged or wiped since is on no disk any more, and needs not be; what was damaged since was there.
            guard let held = node.store.visible.slots[key]?.record.version, held >= record.version else { return }
            if node.store.disk.slots[key].map({ $0.record.version < record.version }) ?? true {
                violation(
                    .durability, "\(node.id) says that it holds \(key) @\(record.version), which is not on its disk")
            }
        default:
            break
        }
    }
}
