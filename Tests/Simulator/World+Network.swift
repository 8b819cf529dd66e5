import KVProtocols
import KVReplication

/// What happens to messages.
extension World {
    /// The number of the link from one node to another.
    func link(_ from: NodeID, _ to: NodeID) -> Int { index(from) << 16 + index(to) }

    func isBlocked(_ from: NodeID, _ to: NodeID) -> Bool {
        !blocked.isEmpty && blocked.contains(link(from, to))
    }

    func send(_ outgoing: Outgoing, from node: SimulatedNode) {
        hash.add(outgoing)
        checkSaid(outgoing, by: node)
        let from = node.id
        if outgoing.to == from {
            queue.schedule(.ownMessage(from, boot: node.boot, outgoing.header, outgoing.message), at: now)
            return
        }
        guard nodes.indices.contains(index(outgoing.to)) else {
            return violation(.outcomes, "\(from) writes to \(outgoing.to), which does not exist")
        }
        let event = Event.deliver(to: outgoing.to, from: from, outgoing.header, outgoing.message)
        if isCalm {
            queue.schedule(event, at: now + 100 + random.below(100))
            return
        }
        guard !isBlocked(from, outgoing.to), !random.chance(profile.loss) else { return }
        // A clogged link keeps everything for a while, then lets it through at once.
        let free = clogged.isEmpty ? now : max(now, clogged[link(from, outgoing.to)] ?? 0)
        queue.schedule(event, at: free + delay())
        if random.chance(profile.duplication) { queue.schedule(event, at: now + 3 * delay()) }
    }

    private func delay() -> UInt64 {
        if random.chance(profile.lateness) { return random.below(4_000_000) }
        return profile.delay + random.below(profile.jitter)
    }
}
