import KVPlacement
import KVProtocols

/// The controller of one partition, made of the real failure detector and planner. What it has published is on its disk;
/// what it believes about nodes is lost when it crashes. Times are in milliseconds.
struct SimulatedController {
    /// What a node says in a heartbeat.
    struct Report: Hashable {
        var configuration: Configuration
        /// The ballot under which it leads.
        var ballot: Ballot?
        var isSynced: Bool
        var lagging: [NodeID] = []
        /// It can make writes durable.
        var isHealthy: Bool
    }

    /// What it published last, as far as it remembers: an older disk may have been put in.
    var map: Configuration
    var isUp = true
    /// Nodes know more than it does: its disk was rolled back, and it decides nothing.
    private(set) var isRolledBack = false
    let policy: ReplicationPolicy
    private(set) var known: [NodeID] = []
    var draining: [NodeID] = []
    private var detector = FailureDetector()
    private var planner = MovePlanner()
    private var reports: [NodeID: Report] = [:]

    init(map: Configuration, policy: ReplicationPolicy) {
        self.map = map
        self.policy = policy
    }

    /// Starts again with what is on its disk: the map and who was asked to drain.
    mutating func restart(map: Configuration, nodes: [NodeID], now: UInt64) {
        self.map = map
        isUp = true
        isRolledBack = false
        detector = FailureDetector()
        planner = MovePlanner()
        reports = [:]
        known = nodes
        for node in nodes { detector.watch(node, now: Int(now / 1_000)) }
    }

    mutating func watch(_ node: NodeID, now: UInt64) {
        if !known.contains(node) { known.append(node) }
        detector.watch(node, now: Int(now / 1_000))
    }

    mutating func forget(_ node: NodeID) {
        known.removeAll { $0 == node }
        draining.removeAll { $0 == node }
        reports[node] = nil
        detector.forget(node)
    }

    /// A node got a new number: what it was is lost.
    mutating func replace(_ old: NodeID, by new: NodeID, now: UInt64) {
        let drains = draining.contains(old)
        forget(old)
        watch(new, now: now)
        if drains { draining.append(new) }
    }

    mutating func heard(from node: NodeID, _ report: Report, now: UInt64) {
        if report.configuration.epoch > map.epoch { isRolledBack = true }
        guard !isRolledBack, known.contains(node) else { return }
        reports[node] = report
        _ = detector.heard(node, healthy: report.isHealthy, now: Int(now / 1_000))
    }

    /// What it would publish next.
    mutating func plan(now: UInt64) -> Configuration? {
        let time = Int(now / 1_000)
        _ = detector.step(now: time)
        guard !isRolledBack else { return nil }
        let nodes = known.map { node in
            MovePlanner.Node(
                id: node, condition: detector.status(of: node)?.condition ?? .down,
                isSettled: detector.isSettled(node, now: time), isDraining: draining.contains(node))
        }
        var leader: (ballot: Ballot, report: Report)?
        for node in known.sorted() where detector.isLive(node) && map.contains(node) {
            guard let report = reports[node], let ballot = report.ballot else { continue }
            if leader.map({ $0.ballot < ballot }) ?? true { leader = (ballot, report) }
        }
        let input = MovePlanner.Input(
            partitions: [map], nodes: nodes, policy: policy,
            leaders: [
                leader.map {
                    .init(
                        epoch: $0.report.configuration.epoch, isSynced: $0.report.isSynced, lagging: $0.report.lagging)
                }
            ])
        return planner.plan(input).first?.configuration
    }
}
