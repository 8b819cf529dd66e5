import KVProtocols
import KVReplication

/// Everything that a run consists of. Time is in microseconds.
final class World {
    let seed: UInt64
    let options: Simulation.Options
    var random: Random
    var profile: Profile
    /// Every node that ever was, by number; `profile.nodes` lists those that are.
    var nodes: [SimulatedNode]
    var queue = EventQueue()
    var now: UInt64 = 0
    var hash = RunHash()
    var report: Simulation.Report
    var story: [String] = []
    /// Of the step under way; kept for its memory.
    var output = Output()

    /// The newest configuration that the controller published.
    var published: Configuration
    var controller: SimulatedController
    /// The controller's map at its last crash.
    var controllerBackup: Configuration?
    /// Links by number that let nothing through, and those that keep everything until a time.
    var blocked: Set<Int> = []
    var clogged: [Int: UInt64] = [:]
    var isCalm = false

    var calls: [Call] = []
    /// Calls not answered yet: where, and in which life of that node.
    var pending: [UInt64: (node: NodeID, boot: Int)] = [:]
    /// What the leader's store showed when a barrier was asked: once it is passed, a listing gives that out.
    var listings: [UInt64: (purgeEpoch: UInt64, entries: [(Key, Record?)])] = [:]
    var operationsLeft: Int
    var recentVersions: [Key: [Version]] = [:]
    /// Values of puts, unique: which call wrote it.
    var writers: [[UInt8]: UInt64] = [:]
    var proposed: Set<UInt64> = []
    /// Which process led under a ballot.
    var leaders: [Ballot: (node: NodeID, boot: Int)] = [:]
    var damagedNode: NodeID?
    /// The last node whose disk was lost, until its replica is elsewhere.
    var lostNode: NodeID?

    init(seed: UInt64, options: Simulation.Options) {
        self.seed = seed
        self.options = options
        var random = Random(seed: seed)
        let profile = Profile(random: &random, options: options)
        let members = Array(random.shuffled(profile.nodes).prefix(profile.policy.replicas))
        published = Configuration(initial: members)
        nodes = []
        self.profile = profile
        controller = SimulatedController(map: published, policy: profile.policy)
        self.random = random
        operationsLeft = options.operations ?? profile.operations
        report = Simulation.Report(seed: seed)
        for id in profile.nodes {
            let configuration = members.contains(id) ? published : .none
            addNode(id, PartitionState(configuration: configuration, promised: .zero, purgeEpoch: 0))
            controller.watch(id, now: 0)
        }
    }

    func index(_ node: NodeID) -> Int { Int(node.rawValue) - 1 }
    func node(_ id: NodeID) -> SimulatedNode { nodes[index(id)] }

    func note(_ text: @autoclosure () -> String) {
        guard options.storyLength > 0 else { return }
        story.append("\(now / 1_000).\(String(now % 1_000 + 1_000).dropFirst()) " + text())
        if story.count >= 2 * options.storyLength { story.removeFirst(story.count - options.storyLength) }
    }

    func violation(_ property: Violation.Property, _ text: String) {
        note("VIOLATION of \(property.rawValue): \(text)")
        if report.violations.count < 5 { report.violations.append(Violation(property, text)) }
    }

    // MARK: - The loop

    func run() -> Simulation.Report {
        note(
            "policy \(profile.policy.replicas)/\(profile.policy.write)/\(profile.policy.read), \(nodes.count) nodes, "
                + "\(profile.keys.count) keys, \(Words.text(published))")
        for node in profile.nodes { start(node) }
        queue.schedule(.client, at: 100_000)
        queue.schedule(.heartbeats, at: 250_000)
        if options.weather == .controller { queue.schedule(.plan, at: 300_000) }
        if options.faults { queue.schedule(.fault, at: 200_000) }
        while report.violations.isEmpty, !isCalm, let (time, event) = queue.popFirst() {
            now = time
            handle(event)
        }
        if report.violations.isEmpty, options.mode == .liveness { becomeCalm() }
        judge()
        report.figures.simulated = now
        report.hash = hash.value
        report.story = story.suffix(options.storyLength).map { $0 }
        report.history = calls
        return report
    }

    func handle(_ event: Event) {
        if let node = event.node, nodes[index(node)].pausedUntil > now {
            queue.schedule(event, at: nodes[index(node)].pausedUntil)
            return
        }
        report.figures.events += 1
        hash.add(now)
        switch event {
        case .deliver(let to, let from, let header, let message):
            guard !isBlocked(from, to) else { return }
            note("\(from) → \(to) \(Words.text(header)) \(Words.text(message))")
            if node(to).fullUntil > now, message.bringsRecord { return note("\(to)'s disk is full") }
            step(to, .message(from: from, header, message))
        case .ownMessage(let node, let boot, let header, let message):
            guard nodes[index(node)].boot == boot else { return }
            step(node, .message(from: node, header, message))
        case .tick(let node, let boot):
            guard nodes[index(node)].boot == boot else { return }
            step(node, .tick)
            queue.schedule(.tick(node, boot: boot), at: now + 20_000 + random.below(25_000))
        case .turnEnd(let node, let boot):
            guard nodes[index(node)].boot == boot else { return }
            nodes[index(node)].turnIsOpen = false
            step(node, .turnEnd)
        case .synced(let node, let boot, let position):
            synced(node, boot: boot, upTo: position)
        case .hint(let node, let boot, let peer, let isBack):
            // In calm every connection works: what was noticed late is not told any more.
            guard nodes[index(node)].boot == boot, isBack || !isCalm else { return }
            note("\(node) is told that \(peer) is \(isBack ? "back" : "lost")")
            step(node, isBack ? .peerBack(peer) : .peerLost(peer))
        case .disk(let node, let boot, let isFull):
            guard nodes[index(node)].boot == boot, isFull || nodes[index(node)].fullUntil <= now else { return }
            step(node, .disk(isFull: isFull))
        case .scrub(let node, let boot):
            guard nodes[index(node)].boot == boot else { return }
            scrub(node)
        case .cancel(let node, let boot, let operation):
            guard nodes[index(node)].boot == boot, pending[operation] != nil else { return }
            note("\(node) is told to cancel #\(operation)")
            step(node, .cancel(id: operation))
            if pending[operation] != nil, !self.node(node).isFailed {
                violation(.outcomes, "cancelled operation #\(operation) was not answered")
            }
        case .install(let node, let configuration):
            step(node, .configuration(configuration))
        default:
            handleWorld(event)
        }
    }

    private func handleWorld(_ event: Event) {
        switch event {
        case .heartbeats: heartbeats()
        case .heartbeat(let node, let report): heard(from: node, report)
        case .plan: plan()
        case .controllerRestart(let map): restartController(map)
        case .restart(let node):
            if nodes[index(node)].isFailed { crash(node) }
            if nodes[index(node)].process == nil { start(node) }
        case .heal: heal()
        case .client: client()
        case .fault: fault()
        case .calm: isCalm = true
        default: break
        }
    }
}

extension Message {
    /// Whether a full disk has no place for it.
    var bringsRecord: Bool {
        switch self {
        case .accept, .copy: true
        default: false
        }
    }
}
