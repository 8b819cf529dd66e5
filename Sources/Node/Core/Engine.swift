import KVProtocols
import KVReplication
import KVStorage
import KVTransport
import Logging

/// The single-threaded heart of a node: steps the machines of its partitions, and around them does what they may not:
/// storage, messages, time. Confined to the event loop of `EngineLoop`; nothing in here locks or waits.
///
/// One turn: take every command that waits, step the machines, give back what became durable, hand all that was staged
/// to the journal as one batch, and each peer's messages to its link as one batch.
final class Engine {
    /// One partition on this node.
    final class Replica {
        var machine: PartitionMachine
        var store: PartitionStore
        var isTouched = false
        var mayBeginRepair = true

        init(machine: PartitionMachine, store: PartitionStore) {
            self.machine = machine
            self.store = store
        }
    }

    /// Something that may be said only when the journal has reached a position.
    struct Held {
        let position: UInt64
        let partition: PartitionID
        let outgoing: Outgoing
    }

    /// Answers to peers that wait for the journal; more are dropped. About 200 bytes each.
    static let maximumHeld = 65_536

    let settings: NodeSettings
    let storage: NodeStorage
    let links: any PeerLinks
    let logger: Logger

    var identity: NodeIdentity
    var map: ClusterMap?
    var replicas: [Replica?]
    var connected: Set<NodeID> = []
    /// When peers that were never met since this start count as lost.
    var unmetDeadline: UInt64?
    /// Why the controller turned this node away.
    var refusal: String?

    var now: UInt64 = 0
    var wall: UInt64 = 0
    var output = Output()
    var touched: [Int] = []
    var held: [Held] = []
    var heldHead = 0
    /// Messages to this node itself, given back within the turn.
    var loopback: [(PartitionID, Outgoing)] = []
    var outbox: [NodeID: [PeerMessage]] = [:]
    var outboxOrder: [NodeID] = []

    var nextID: UInt64 = 1
    var pending: [UInt64: PendingOperation] = [:]
    /// Operations without a leader to send them to, in order of arrival.
    var waiting: [UInt64] = []
    var asked: [UInt64: PendingAsk] = [:]
    var lastMachineTick: UInt64 = 0
    var lastDeadlineCheck: UInt64 = 0
    /// The last leader heard of for partitions of which this node is no member.
    var leaderHints: [NodeID?]
    var counters = EngineCounters()
    var durabilityWaiters: [(position: UInt64, completion: @Sendable (Bool) -> Void)] = []
    /// Until the node is told to stop.
    private var waitsForDurability = true
    var isStopped = false
    var lastScrub: ScrubPass?
    private var isDegradationLogged = false
    private var isDiskFull = false

    init(
        settings: NodeSettings, storage: NodeStorage, identity: NodeIdentity, map: ClusterMap?,
        links: any PeerLinks, logger: Logger
    ) {
        self.settings = settings
        self.storage = storage
        self.identity = identity
        self.map = map
        self.links = links
        self.logger = logger
        replicas = [Replica?](repeating: nil, count: settings.partitions)
        leaderHints = [NodeID?](repeating: nil, count: settings.partitions)
        readClocks()
        restoreReplicas()
    }

    // MARK: - Turns

    func turn(_ batch: [EngineCommand]) {
        readClocks()
        counters.turns += 1
        for command in batch { handle(command) }
        if now >= lastMachineTick + 50 { tickMachines() }
        if now >= lastDeadlineCheck + 20 { checkDeadlines() }
        if let deadline = unmetDeadline, now >= deadline { giveUpUnmetPeers() }
        retryWaiting()
        storage.tick(nowMilliseconds: now)
        if isDiskFull != refusesWrites {
            isDiskFull = refusesWrites
            stepAll(.disk(isFull: isDiskFull))
        }
        settle()
        storage.commit()
        flushOutbox()
        while let first = durabilityWaiters.first,
            first.position <= storage.durable || storage.failure != nil || !waitsForDurability
        {
            durabilityWaiters.removeFirst()
            first.completion(first.position <= storage.durable)
        }
    }

    /// Gives back what became durable and ends the turn of every machine, until nothing follows any more.
    private func settle() {
        releaseHeld()
        while !loopback.isEmpty || !touched.isEmpty {
            let messages = loopback
            loopback.removeAll(keepingCapacity: true)
            for (partition, outgoing) in messages {
                step(partition, .message(from: identity.node, outgoing.header, outgoing.message))
            }
            let ended = touched
            touched.removeAll(keepingCapacity: true)
            for index in ended {
                guard let replica = replicas[index] else { continue }
                replica.isTouched = false
                run(replica, .turnEnd)
            }
            releaseHeld()
        }
    }

    private func releaseHeld() {
        let durable = storage.durable
        while heldHead < held.count, held[heldHead].position <= durable {
            let entry = held[heldHead]
            heldHead += 1
            dispatch(entry.outgoing, of: entry.partition)
        }
        if heldHead == held.count {
            held.removeAll(keepingCapacity: true)
            heldHead = 0
        } else if heldHead >= 4_096 {
            held.removeFirst(heldHead)
            heldHead = 0
        }
    }

    private func handle(_ command: EngineCommand) {
        switch command {
        case .operation(let partition, let operation, let deadline, let completion):
            begin(partition, operation, deadline: deadline, completion: completion)
        case .ask(let node, let request, let deadline, let completion):
            ask(node, request, deadline: deadline, completion: completion)
        case .read(let partition, let key, let completion):
            completion(readLocally(partition, key))
        case .listLocally(let request, let completion):
            completion(listLocally(request))
        case .peer(let event):
            handle(event)
        case .storage(let event):
            handle(event)
        case .map(let map):
            adopt(map)
        case .identity(let identity, let completion):
            adopt(identity)
            completion(self.identity)
        case .whenDurable(let completion):
            durabilityWaiters.append((storage.appended, completion))
        case .stopWaiting:
            waitsForDurability = false
        case .distrust(let node, let partitions):
            for partition in partitions { distrust(node, partition) }
        case .report(let completion):
            completion(report())
        case .refusal(let reason):
            refusal = reason
            if reason != nil { stepAll(.resign) }
        case .stop(let completion):
            stop(completion)
        }
    }

    private func readClocks() {
        now = Clocks.monotonicMilliseconds()
        wall = Clocks.wallMilliseconds()
    }

    // MARK: - Machines

    /// The machine of a partition, made when it is first spoken to.
    func replica(_ partition: PartitionID) -> Replica? {
        let index = Int(partition.rawValue)
        guard index < replicas.count else { return nil }
        if let replica = replicas[index] { return replica }
        guard identity.node != NodeID(0) else { return nil }
        let store = PartitionStore(partition: partition, storage: storage)
        let seed = identity.incarnation &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15 &+ identity.boot
        let machine = PartitionMachine(
            node: identity.node, policy: settings.policy, settings: settings.machine, seed: seed, now: now,
            store: store)
        let replica = Replica(machine: machine, store: store)
        replicas[index] = replica
        if isDiskFull { step(partition, .disk(isFull: true)) }
        if unmetDeadline == nil {
            for peer in unconnectedPeers { step(partition, .peerLost(peer)) }
        }
        return replica
    }

    func step(_ partition: PartitionID, _ input: Input) {
        guard let replica = replica(partition) else { return }
        run(replica, input)
        if !replica.isTouched {
            replica.isTouched = true
            touched.append(Int(partition.rawValue))
        }
    }

    /// Steps one machine and carries out its output.
    private func run(_ replica: Replica, _ input: Input) {
        guard storage.failure == nil else { return }
        output.removeAll()
        replica.machine.step(input, now: now, store: &replica.store, output: &output)
        let partition = replica.store.partition
        for outgoing in output.now { dispatch(outgoing, of: partition) }
        if !output.afterPersist.isEmpty {
            let position = storage.appended
            for outgoing in output.afterPersist {
                // A full disk may keep the journal waiting for hours. A peer that lacks an answer asks again; what this
                // node tells itself is bounded by what it proposes.
                guard held.count - heldHead < Self.maximumHeld || outgoing.to == identity.node else {
                    counters.droppedWhileFull += 1
                    continue
                }
                held.append(Held(position: position, partition: partition, outgoing: outgoing))
            }
        }
        let replies = output.replies
        let changed = output.statusChanged
        for reply in replies { finish(reply.id, reply.outcome) }
        if changed { statusChanged(replica) }
    }

    func stepAll(_ input: Input) {
        for index in replicas.indices where replicas[index] != nil {
            step(PartitionID(UInt16(index)), input)
        }
    }

    private func statusChanged(_ replica: Replica) {
        let partition = replica.store.partition
        leaderHints[Int(partition.rawValue)] = replica.machine.leader
        logger.debug(
            "partition status changed",
            metadata: [
                "kv.partition": "\(partition)", "leader": "\(replica.machine.leader?.description ?? "none")",
                "leading": "\(replica.machine.isLeading)", "synced": "\(replica.machine.isSynced)",
            ])
    }

    // MARK: - Messages

    func dispatch(_ outgoing: Outgoing, of partition: PartitionID) {
        if outgoing.to == identity.node {
            loopback.append((partition, outgoing))
        } else {
            post(.machine(partition, outgoing.header, outgoing.message), to: outgoing.to)
        }
    }

    func post(_ message: PeerMessage, to node: NodeID) {
        if outbox[node] == nil { outboxOrder.append(node) }
        outbox[node, default: []].append(message)
    }

    private func flushOutbox() {
        for node in outboxOrder {
            if let messages = outbox.removeValue(forKey: node) { links.send(messages, to: node) }
        }
        outboxOrder.removeAll(keepingCapacity: true)
    }

    // MARK: - Storage

    private func handle(_ event: StorageEvent) {
        storage.handle(event)
        switch event {
        case .durable, .flushed:
            break
        case .failed(let error):
            logger.critical("storage failed: nothing is acknowledged any more", metadata: ["error": "\(error)"])
            failEverything()
        case .journalFull(let error), .flushFailed(let error):
            // Tried again several times a second: said once per spell.
            if !isDegradationLogged {
                logger.warning("storage is degraded", metadata: ["error": "\(error)"])
            }
            isDegradationLogged = true
        case .spaceReturned:
            break
        case .damaged(let partition, let key, let error):
            foundDamaged(partition, key, error)
        case .unreadable(let partition, let error):
            foundUnreadable(partition, error)
        case .inconsistent(let partition):
            foundInconsistent(partition)
        case .damagedState(let partition, let error):
            logger.warning(
                "the stored state of a partition fails verification and is written anew",
                metadata: ["kv.partition": "\(partition)", "error": "\(error)"])
        case .scrubbed(let pass):
            finishedScrub(pass)
        }
        if isDegradationLogged, storage.degradation == nil {
            logger.notice("storage writes again")
            isDegradationLogged = false
        }
    }

    /// A failed journal acknowledges nothing: machines are not stepped any more, whoever waits is told.
    private func failEverything() {
        held.removeAll()
        heldHead = 0
        for id in pending.keys.sorted() { abandon(id, .failed) }
        waiting.removeAll()
    }

    private func stop(_ completion: @Sendable (StorageError?) -> Void) {
        stepAll(.resign)
        settle()
        flushOutbox()
        for id in pending.keys.sorted() { abandon(id, .failed) }
        for ask in asked.values { ask.completion(nil) }
        asked.removeAll()
        isStopped = true
        do {
            try storage.stop()
            completion(nil)
        } catch {
            completion(error)
        }
    }
}
