import KVProtocols
import KVReplication

/// What a crash ends.
final class SimulatedProcess {
    private(set) var machine: PartitionMachine
    /// The machine's, after its last step: asked so often that copies of the machine would cost more than its steps.
    private(set) var leadingBallot: Ballot?

    init(_ machine: PartitionMachine) { self.machine = machine }

    func step(_ input: Input, now: UInt64, store: inout SimulatedStore, output: inout Output) {
        leadingBallot = Self.step(&machine, input, now: now, store: &store, output: &output)
    }

    private static func step(
        _ machine: inout PartitionMachine, _ input: Input, now: UInt64, store: inout SimulatedStore,
        output: inout Output
    ) -> Ballot? {
        machine.step(input, now: now, store: &store, output: &output)
        return machine.leadingBallot
    }
}

/// One node: its disk survives a crash, its process does not.
final class SimulatedNode {
    let id: NodeID
    var store: SimulatedStore
    var process: SimulatedProcess?
    /// Counts the starts of the process: what belongs to an earlier one is void.
    var boot = 0
    var pausedUntil: UInt64 = 0
    var isSyncing = false
    var slowDiskUntil: UInt64 = 0
    var fullUntil: UInt64 = 0
    /// Full to the brim: nothing becomes durable, not even a promise.
    var stuckUntil: UInt64 = 0
    /// A sync failed: the process does nothing any more until it is started again.
    var isFailed = false
    /// The disk is lost, and with it this member: it is never started again.
    var isGone = false
    /// What was on the disk at some earlier time.
    var backup: SimulatedStore.Image?
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

    var isLeading: Bool { process?.leadingBallot != nil }

    /// Milliseconds of the clock that never goes back.
    func clock(_ now: UInt64) -> UInt64 { clockStart + now * clockSpeed / 1_000_000 }
    /// Milliseconds since 1970, as this node believes.
    func wall(_ now: UInt64) -> UInt64 { wallOffset + now / 1_000 }
}

/// Processes and their disks.
extension World {
    func addNode(_ id: NodeID, _ state: PartitionState) {
        var store = SimulatedStore(state: state)
        store.pageLimit = profile.walkPage
        nodes.append(
            SimulatedNode(
                id: id, store: store, clockStart: random.below(1 << 40), clockSpeed: random.pick([1_000, 950, 1_050]),
                wallOffset: 1_000_000 + random.below(random.pick([1, 100, 3_000]) as UInt64)))
    }

    func start(_ id: NodeID) {
        let node = node(id)
        guard !node.isGone else { return }
        node.boot += 1
        node.isSyncing = false
        node.isFailed = false
        node.held = []
        node.turnIsOpen = false
        node.process = SimulatedProcess(
            PartitionMachine(
                node: id, policy: profile.policy, settings: profile.settings,
                seed: seed &* 1_000_003 &+ UInt64(id.rawValue) &* 8_191 &+ UInt64(node.boot), now: node.clock(now),
                store: node.store))
        note("\(id) starts")
        queue.schedule(.tick(id, boot: node.boot), at: now + random.below(50_000))
        if node.fullUntil > now { tellOfFullDisk(id) }
    }

    func crash(_ id: NodeID) {
        let node = node(id)
        guard node.process != nil else { return }
        let staged = node.store.staged.count
        let kept = random.below(staged + 1)
        note("\(id) crashes; \(kept) of \(staged) staged changes reached the disk")
        node.process = nil
        node.isFailed = false
        node.boot += 1
        node.pausedUntil = 0
        node.store.crash(keeping: kept)
        if node.backup == nil || now & 1 == 0 { node.backup = node.store.disk }
        for operation in pending.keys.sorted() where pending[operation]?.node == id { pending[operation] = nil }
    }

    /// One input through a machine, and everything that follows from its output.
    func step(_ id: NodeID, _ input: Input) {
        let node = node(id)
        guard let process = node.process, !node.isFailed else { return }
        let before = node.store.appended
        let led = process.leadingBallot
        let state = node.store.visible.state
        output.removeAll()
        process.step(input, now: node.clock(now), store: &node.store, output: &output)
        if case .turnEnd = input {} else { openTurn(node) }
        hash.add(UInt64(id.rawValue))
        let ballot = process.leadingBallot
        if ballot != led { leads(node, under: ballot) }
        let appended = node.store.appended
        if appended > before { inspect(node, count: Int(appended - before)) }
        for outgoing in output.now { send(outgoing, from: node) }
        if !output.afterPersist.isEmpty {
            if node.store.durable == appended {
                for outgoing in output.afterPersist { send(outgoing, from: node) }
            } else {
                node.held.append((appended, output.afterPersist))
            }
        }
        beginSync(node)
        for reply in output.replies { answered(reply, by: id, under: state) }
    }

    private func leads(_ node: SimulatedNode, under ballot: Ballot?) {
        guard let ballot else { return note("\(node.id) leads no longer") }
        report.figures.elections += 1
        note("\(node.id) LEADS under \(ballot)")
        if let other = leaders.updateValue((node.id, node.boot), forKey: ballot) {
            violation(.ballots, "\(node.id) leads under \(ballot), under which \(other.node) has led before")
        }
    }

    private func openTurn(_ node: SimulatedNode) {
        guard !node.turnIsOpen else { return }
        node.turnIsOpen = true
        let delay: UInt64 = random.chance(0.7) ? 0 : random.below(1_000)
        queue.schedule(.turnEnd(node.id, boot: node.boot), at: now + delay)
    }

    private func beginSync(_ node: SimulatedNode) {
        guard !node.isSyncing, node.store.durable < node.store.appended else { return }
        node.isSyncing = true
        var delay = random.around(profile.sync)
        if node.slowDiskUntil > now { delay += random.below(600_000) }
        if node.stuckUntil > now { delay += node.stuckUntil - now }
        queue.schedule(.synced(node.id, boot: node.boot, upTo: node.store.appended), at: now + delay)
    }

    func synced(_ id: NodeID, boot: Int, upTo position: UInt64) {
        let node = node(id)
        guard node.boot == boot, !node.isFailed else { return }
        node.isSyncing = false
        node.store.sync(upTo: position)
        note("\(id) is durable up to \(position)")
        let free = node.held.prefix { $0.position <= position }
        node.held.removeFirst(free.count)
        for (_, outgoing) in free {
            for message in outgoing { send(message, from: node) }
        }
        beginSync(node)
    }
}
