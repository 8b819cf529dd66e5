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
    var fullUntil: UInt64 = 0
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

    func start(_ node: NodeID) {
        let place = index(node)
        guard !nodes[place].isGone else { return }
        nodes[place].boot += 1
        nodes[place].isSyncing = false
        nodes[place].isFailed = false
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
        let staged = nodes[place].store.staged.count
        let kept = random.below(staged + 1)
        note("\(node) crashes; \(kept) of \(staged) staged changes reached the disk")
        nodes[place].machine = nil
        nodes[place].isFailed = false
        nodes[place].boot += 1
        nodes[place].pausedUntil = 0
        nodes[place].store.crash(keeping: kept)
        if nodes[place].backup == nil || now & 1 == 0 { nodes[place].backup = nodes[place].store.disk }
        for id in pending.keys.sorted() where pending[id]?.node == node { pending[id] = nil }
    }

    /// One input through a machine, and everything that follows from its output.
    func step(_ node: NodeID, _ input: Input) {
        let place = index(node)
        guard nodes[place].machine != nil, !nodes[place].isFailed else { return }
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
            if let other = leaders.updateValue((node, nodes[place].boot), forKey: ballot) {
                violation(.ballots, "\(node) leads under \(ballot), under which \(other.node) has led before")
            }
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

    func beginSync(_ node: NodeID) {
        let place = index(node)
        guard !nodes[place].isSyncing, nodes[place].store.durable < nodes[place].store.appended else { return }
        nodes[place].isSyncing = true
        var delay = random.around(profile.sync)
        if nodes[place].slowDiskUntil > now { delay += random.below(600_000) }
        queue.schedule(
            .synced(node, boot: nodes[place].boot, upTo: nodes[place].store.appended), at: now + delay)
    }

    func synced(_ node: NodeID, boot: Int, upTo position: UInt64) {
        let place = index(node)
        guard nodes[place].boot == boot, !nodes[place].isFailed else { return }
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
}
