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
        case .known(_, let key, let record?): checkHeld(key, record.version, by: node)
        case .copied(let key, let version): checkHeld(key, version, by: node)
        default: break
        }
    }

    private func checkHeld(_ key: Key, _ version: Version, by node: SimulatedNode) {
        // What was purged or wiped since is on no disk any more, and needs not be; what was damaged since was there.
        guard let held = node.store.visible.slots[key]?.record.version, held >= version else { return }
        if !node.store.reached(key, version) {
            violation(.durability, "\(node.id) says that it holds \(key) @\(version), which is not on its disk")
        }
    }
}
