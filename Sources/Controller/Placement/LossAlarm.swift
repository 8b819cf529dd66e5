public import KVProtocols

/// Notices that half the nodes or more were lost at once. That is rather a cut network or a power failure than so many
/// broken machines: moving replicas then would overload those that are left, for nothing.
///
/// It stays raised until fewer than half are still lost, or a person acknowledges it.
public struct LossAlarm: Sendable {
    /// A node that is down and still holds replicas.
    public struct Loss: Hashable, Sendable {
        public var node: NodeID
        /// When it went down, in milliseconds.
        public var since: Int

        public init(node: NodeID, since: Int) {
            self.node = node
            self.since = since
        }
    }

    public enum Change: Hashable, Sendable {
        case raised([NodeID])
        case cleared
    }

    /// Losses at most so many milliseconds before the latest one count as at once.
    public let window: Int
    /// The nodes that were lost at once, in order; empty while there is no alarm.
    public private(set) var nodes: [NodeID] = []
    private var ignored: Set<NodeID>

    /// - Parameter acknowledged: what an earlier process kept of `acknowledged`.
    public init(window: Int = 60_000, acknowledged: [NodeID] = []) {
        self.window = window
        ignored = Set(acknowledged)
    }

    /// Lost nodes of which a person knows, in order: they raise no alarm until they were up again.
    public var acknowledged: [NodeID] { ignored.sorted() }

    public var isRaised: Bool { !nodes.isEmpty }

    /// - Parameters:
    ///   - losses: all nodes that are down and hold replicas.
    ///   - total: the number of nodes that are up or hold replicas.
    ///   - unheard: nodes of which it is not known yet whether they are up.
    public mutating func step(losses: [Loss], total: Int, unheard: Set<NodeID> = []) -> Change? {
        let down = Set(losses.map(\.node))
        ignored = ignored.filter { down.contains($0) || unheard.contains($0) }
        if isRaised {
            guard 2 * nodes.count(where: down.contains) < total else { return nil }
            nodes = []
            return .cleared
        }
        let latest = losses.map(\.since).max() ?? 0
        let atOnce = losses.filter { $0.since >= latest - window && !ignored.contains($0.node) }.map(\.node)
        // One node is never "at once": where it is half of the cluster, nobody is there to take its replicas anyway.
        guard atOnce.count >= 2, 2 * atOnce.count >= total else { return nil }
        nodes = atOnce.sorted()
        return .raised(nodes)
    }

    /// A person says that the lost nodes shall be replaced. The same losses don't raise the alarm again.
    /// - Returns: `false` when there is no alarm.
    public mutating func acknowledge() -> Bool {
        guard isRaised else { return false }
        ignored.formUnion(nodes)
        nodes = []
        return true
    }
}
