import KVProtocols
import KVReplication

/// One node: its disk survives a crash, its machine does not.
final class SimulatedNode {
    let id: NodeID
    var store: SimulatedStore
    var machine: PartitionMachine?
    /// Counts the starts of the process: what belongs to an earlier one is void.
    var boot = 0
    var pausedUntil: UInt64 = 0
    var isSyncing = false
    var slowDiskUntil: UInt64 = 0
    /// What may leave once the store is durable up to `position`.
    var held: [(position: UInt64, outgoing: [Outgoing])] = []
    var turnIsOpen = false
    /// The local clock: a start, and a speed in thousandths.
    var clockStart: UInt64
    var clockSpeed: UInt64
    var wallOffset: UInt64

    init(id: NodeID, store: SimulatedStore, clockStart: UInt64, clockSpeed: UInt64, wallOffset: UInt64) {
        self.id = id
        self.store = store
        self.clockStart = clockStart
        self.clockSpeed = clockSpeed
        self.wallOffset = wallOffset
    }

    func clock(_ now: UInt64) -> UInt64 { clockStart + now * clockSpeed / 1_000_000 }
    func wall(_ now: UInt64) -> UInt64 { wallOffset + now / 1_000 }
}

/// Everything that a run consists of. Time is in microseconds.
final class World {
    let seed: UInt64
    let options: Simulation.Options
    var random: Random
    var profile: Profile
    let nodes: [SimulatedNode]
    var queue = EventQueue()
    var now: UInt64 = 0
    var hash = RunHash()
    var report: Simulation.Report
    var story: [String] = []

    /// The newest configuration that the controller published.
    var published: Configuration
    /// `blocked[from * count + to]`.
    var blocked: Set<Int> = []
    var isCalm = false

    var calls: [Call] = []
    /// Calls not answered yet: where, and in which life of that node.
    var pending: [UInt64: (node: NodeID, boot: Int)] = [:]
    var operationsLeft: Int
    var recentVersions: [Key: [Version]] = [:]
    /// Values of puts, unique: which call wrote it.
    var writers: [[UInt8]: UInt64] = [:]
    var proposed: Set<UInt64> = []
    var damagedNode: NodeID?

    init(seed: UInt64, options: Simulation.Options) {
        self.seed = seed
        self.options = options
        var random = Random(seed: seed)
        let profile = Profile(random: &random, options: options)
        let members = Array(random.shuffled(profile.nodes).prefix(profile.policy.replicas))
        published = Configuration(initial: members)
        var nodes: [SimulatedNode] = []
        for id in profile.nodes {
            let isMember = members.contains(id)
            let state = PartitionState(
                configuration: isMember ? published : .none, promised: .zero, purgeEpoch: 0)
            var store = SimulatedStore(state: state)
            store.pageLimit = profile.walkPage
            nodes.append(
                SimulatedNode(
                    id: id, store: store, clockStart: random.below(1 << 40),
                    clockSpeed: random.pick([1_000, 950, 1_050]),
                    wallOffset: 1_000_000 + random.below(random.pick([1, 100, 3_000]) as UInt64)))
        }
        self.nodes = nodes
        self.profile = profile
        self.random = random
        operationsLeft = options.operations
        report = Simulation.Report(seed: seed)
    }

    func index(_ node: NodeID) -> Int { Int(node.rawValue) - 1 }

    func note(_ text: @autoclosure () -> String) {
        guard options.storyLength > 0 else { return }
        story.append("\(now / 1_000).\(String(now % 1_000 + 1_000).dropFirst()) " + text())
        if story.count >= 2 * options.storyLength { story.removeFirst(story.count - options.storyLength) }
    }

    func violation(_ text: String) {
        note("VIOLATION: \(text)")
        if report.violations.count < 5 { report.violations.append(text) }
    }

    // MARK: - The loop

    func run() -> Simulation.Report {
        note(
            "policy \(profile.policy.replicas)/\(profile.policy.write)/\(profile.policy.read), \(nodes.count) nodes, "
                + "\(profile.keys.count) keys, \(Words.text(published))")
        for node in profile.nodes { start(node) }
        queue.schedule(.client, at: 100_000)
        queue.schedule(.heartbeats, at: 250_000)
        if options.faults { queue.schedule(.fault, at: 200_000) }
        while report.violations.isEmpty, !isCalm, let (time, event) = queue.popFirst() {
            now = time
            handle(event)
        }
        if report.violations.isEmpty { becomeCalm() }
        judge()
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
        case .cancel(let node, let boot, let operation):
            guard nodes[index(node)].boot == boot, pending[operation] != nil else { return }
            note("\(node) is told to cancel #\(operation)")
            step(node, .cancel(id: operation))
            if pending[operation] != nil { violation("cancelled operation #\(operation) was not answered") }
        case .install(let node, let configuration):
            step(node, .configuration(configuration))
        default:
            handleWorld(event)
        }
    }

    private func handleWorld(_ event: Event) {
        switch event {
        case .heartbeats: heartbeats()
        case .heartbeat(_, let epoch, let isSynced): heard(epoch: epoch, isSynced: isSynced)
        case .restart(let node): if nodes[index(node)].machine == nil { start(node) }
        case .heal: heal()
        case .client: client()
        case .fault: fault()
        case .calm: isCalm = true
        default: break
        }
    }

    // MARK: - Nodes

    func start(_ node: NodeID) {
        let place = index(node)
        nodes[place].boot += 1
        nodes[place].isSyncing = false
        nodes[place].held = []
        nodes[place].turnIsOpen = false
        let boot = nodes[place].boot
        nodes[place].machine = PartitionMachine(
            node: node, policy: profile.policy, settings: profile.settings,
            seed: seed &* 1_000_003 &+ UInt64(node.rawValue) &* 8_191 &+ UInt64(boot), now: nodes[place].clock(now),
            store: nodes[place].store)
        note("\(node) starts")
        queue.schedule(.tick(node, boot: boot), at: now + random.below(50_000))
    }

    func crash(_ node: NodeID) {
        let place = index(node)
        guard nodes[place].machine != nil else { return }
        report.figures.crashes += 1
        let staged = nodes[place].store.staged.count
        let kept = random.below(staged + 1)
        note("\(node) crashes; \(kept) of \(staged) staged changes reached the disk")
        nodes[place].machine = nil
        nodes[place].boot += 1
        nodes[place].pausedUntil = 0
        nodes[place].store.crash(keeping: kept)
        for id in pending.keys.sorted() where pending[id]?.node == node { pending[id] = nil }
    }

    /// One input through a machine, and everything that follows from its output.
    func step(_ node: NodeID, _ input: Input) {
        let place = index(node)
        guard nodes[place].machine != nil else { return }
        let before = nodes[place].store.appended
        let led = nodes[place].machine?.leadingBallot
        let state = nodes[place].store.state
        var output = Output()
        nodes[place].machine?.step(input, now: nodes[place].clock(now), store: &nodes[place].store, output: &output)
        if case .turnEnd = input {} else { openTurn(node) }
        hash.add(UInt64(node.rawValue))
        let ballot = nodes[place].machine?.leadingBallot
        if let ballot, ballot != led {
            report.figures.elections += 1
            note("\(node) LEADS under \(ballot)")
        } else if ballot == nil, led != nil {
            note("\(node) leads no longer")
        }
        let appended = nodes[place].store.appended
        if appended > before { inspect(node, count: Int(appended - before)) }
        for outgoing in output.now { send(outgoing, from: node) }
        if !output.afterPersist.isEmpty {
            if nodes[place].store.durable == appended {
                for outgoing in output.afterPersist { send(outgoing, from: node) }
            } else {
                nodes[place].held.append((appended, output.afterPersist))
            }
        }
        beginSync(node)
        for reply in output.replies { answered(reply, by: node, under: state) }
    }

    private func openTurn(_ node: NodeID) {
        let place = index(node)
        guard !nodes[place].turnIsOpen else { return }
        nodes[place].turnIsOpen = true
        let delay: UInt64 = random.chance(0.7) ? 0 : random.below(1_000)
        queue.schedule(.turnEnd(node, boot: nodes[place].boot), at: now + delay)
    }

    private func beginSync(_ node: NodeID) {
        let place = index(node)
        guard !nodes[place].isSyncing, nodes[place].store.durable < nodes[place].store.appended else { return }
        nodes[place].isSyncing = true
        var delay = random.around(profile.sync)
        if nodes[place].slowDiskUntil > now { delay += random.below(600_000) }
        queue.schedule(
            .synced(node, boot: nodes[place].boot, upTo: nodes[place].store.appended), at: now + delay)
    }

    private func synced(_ node: NodeID, boot: Int, upTo position: UInt64) {
        let place = index(node)
        guard nodes[place].boot == boot else { return }
        nodes[place].isSyncing = false
        nodes[place].store.sync(upTo: position)
        note("\(node) is durable up to \(position)")
        let free = nodes[place].held.prefix { $0.position <= position }
        nodes[place].held.removeFirst(free.count)
        for (_, outgoing) in free {
            for message in outgoing { send(message, from: node) }
        }
        beginSync(node)
    }

    // MARK: - Network

    func isBlocked(_ from: NodeID, _ to: NodeID) -> Bool {
        !blocked.isEmpty && blocked.contains(index(from) * nodes.count + index(to))
    }

    func send(_ outgoing: Outgoing, from: NodeID) {
        hash.add(outgoing)
        if outgoing.to == from {
            queue.schedule(
                .ownMessage(from, boot: nodes[index(from)].boot, outgoing.header, outgoing.message), at: now)
            return
        }
        guard nodes.indices.contains(index(outgoing.to)) else {
            return violation("\(from) writes to \(outgoing.to), which does not exist")
        }
        let event = Event.deliver(to: outgoing.to, from: from, outgoing.header, outgoing.message)
        if isCalm {
            queue.schedule(event, at: now + 100 + random.below(100))
            return
        }
        guard !isBlocked(from, outgoing.to), !random.chance(profile.loss) else { return }
        queue.schedule(event, at: now + delay())
        if random.chance(profile.duplication) { queue.schedule(event, at: now + 3 * delay()) }
    }

    private func delay() -> UInt64 {
        if random.chance(profile.lateness) { return random.below(4_000_000) }
        return profile.delay + random.below(profile.jitter)
    }
}
