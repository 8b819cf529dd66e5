import KVPlacement
public import KVProtocols
public import Logging

/// Keeps the cluster map: listens to heartbeats, judges who is up, plans moves, remembers what happened.
///
/// Never in the path of a client's read or write to a node. Every new map is durable before anybody sees it. Runs on a
/// queue of its own, because its backend blocks.
public actor Controller {
    let settings: ControllerSettings
    let clock: ControllerClock
    let logger: Logger
    let startedAt: Int

    var state: ControllerState
    /// The newest published map; `nil` before the first one.
    public internal(set) var clusterMap: ClusterMap?
    var store: ControllerStore
    var log: EventLog
    var detector: FailureDetector
    var alarm: LossAlarm
    /// When the alarm was raised.
    var alarmedAt = 0
    var planner: MovePlanner

    /// The newest heartbeat of each member, since this process started.
    var reports: [NodeID: Heartbeat] = [:]
    /// When members that limit themselves last said so: since they were announced as degraded.
    var degraded: [NodeID: Int] = [:]
    /// Identities that were offered and not yet taken, by name.
    var offers: [String: Offer] = [:]
    /// Processes that claim a name whose owner was heard of a moment ago.
    var contenders: [String: Contender] = [:]
    /// Why a name was last refused; one entry per name.
    var refusals: [String: String] = [:]
    /// Nodes know a newer map than this folder holds: it was rolled back and must not speak for the cluster.
    var isRolledBack = false
    /// Why the state could not be stored, as long as it can't.
    var storageFailure: String?

    var firstContact: Int?
    var speed = MoveSpeed()
    var idlePlan: MovePlanner.Input?
    /// Something changed that may be lost in a crash: it is stored within seconds.
    var isDirty = false
    var lastSaved: Int
    var lastEventsSaved: Int

    private let executor = QueueExecutor(label: "kv.controller")

    nonisolated public var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    struct Offer: Hashable {
        var id: NodeID
        var incarnation: UInt64
        var boot: UInt64
    }

    struct Contender: Hashable {
        var incarnation: UInt64
        var boot: UInt64
        var address: String
        var since: Int
    }

    /// Loads what an earlier process stored in `backend`, or creates a cluster with a random number. The backend
    /// stays the caller's to close, after `flush`.
    ///
    /// Blocks on the backend.
    /// - Throws: `StorageError` when the state can't be read, is damaged, of a newer format, or can't be stored.
    public init(
        settings: ControllerSettings, backend: any StorageBackend, logger: Logger, clock: ControllerClock = .system
    ) throws(StorageError) {
        var store = ControllerStore(backend: backend)
        let loaded = try store.load()
        let now = clock.monotonic()
        var state =
            loaded.state
            ?? ControllerState(cluster: UInt64.random(in: 1...UInt64(Int64.max)), name: settings.cluster)
        if loaded.state == nil { try store.save(state, map: nil) }
        for index in state.work.indices { state.work[index].resume(now: now, wall: clock.wall()) }
        self.state = state
        alarm = LossAlarm(acknowledged: state.acknowledged)
        self.settings = settings
        self.clock = clock
        self.logger = logger
        self.store = store
        startedAt = now
        lastSaved = now
        lastEventsSaved = now
        clusterMap = loaded.map
        let repairs = state.work.filter { $0.kind == .repair }
        let repairing = loaded.map?.partitions.enumerated().filter { partition in
            repairs.contains { $0.includes(partition.element) }
        }
        planner = MovePlanner(
            limit: settings.movesInFlight, limitPerNode: settings.movesPerNode,
            repairing: Set(repairing?.map(\.offset) ?? []))
        var detector = FailureDetector(
            limits: FailureDetector.Limits(
                failAfter: settings.failAfterMilliseconds, replaceAfter: settings.replaceAfterMilliseconds))
        for record in state.members { detector.watch(record.id, now: now) }
        self.detector = detector
        var log = EventLog(stored: loaded.events)
        let event = log.append(
            .controllerStarted, .info,
            loaded.map.map { "The controller has started with map \($0.epoch) of cluster \(state.name)" }
                ?? "The controller has started; there is no map yet",
            node: nil, wall: clock.wall())
        self.log = log
        Controller.write(event, to: logger)
        // What was fixed when the cluster was created stays, whatever the configuration file says later.
        if let map = loaded.map, map.policy != settings.policy || map.partitions.count != settings.partitions {
            logger.warning(
                "Partitions and replication policy are fixed when a cluster is created; the stored ones count",
                metadata: ["kv.partitions": "\(map.partitions.count)", "kv.policy": "\(map.policy)"])
        }
    }

    /// The number drawn when the cluster was created.
    public var cluster: UInt64 { state.cluster }

    /// Calls `tick` every 100 ms until the task is cancelled, then stores what is not stored yet.
    public func run() async {
        while !Task.isCancelled {
            tick(nowMilliseconds: clock.monotonic())
            do {
                try await Task.sleep(for: .milliseconds(100))
            } catch {
                break
            }
        }
        flush()
    }

    /// Lets time pass: judges the nodes, makes the first map, plans and publishes, stores what waits for it.
    /// Blocks on the backend when there is something to store.
    public func tick(nowMilliseconds now: Int) {
        for change in detector.step(now: now) { note(change) }
        makeFirstMap(now: now)
        watchForLosses(now: now)
        planMoves(now: now)
        followUp(now: now)
        if now - lastEventsSaved >= 1000 { storeEvents(now: now) }
        if isDirty, now - lastSaved >= 3000 { storeState(now: now) }
    }

    /// Stores everything that is not stored yet. A failure is logged: what is lost then are the newest events and
    /// the newest boot counters and positions, which the next heartbeats bring again.
    public func flush() {
        let now = clock.monotonic()
        storeEvents(now: now)
        if isDirty { storeState(now: now) }
    }

    // MARK: State

    /// Changes the state and the map together: stored first, then in force. A new map gets the next epoch.
    /// - Throws: `ControllerError.unavailable` when it can't be stored; then nothing changed.
    func commit(_ change: (inout ControllerState, inout ClusterMap?) -> Void) throws(ControllerError) {
        guard !isRolledBack else { throw Controller.rolledBack }
        var (nextState, nextMap) = (state, clusterMap)
        change(&nextState, &nextMap)
        let isNewMap = nextMap != clusterMap
        if isNewMap { nextMap?.epoch = (clusterMap?.epoch ?? 0) + 1 }
        do {
            try store.save(nextState, map: isNewMap ? nextMap : nil)
        } catch {
            noteStorage(failure: error)
            throw ControllerError(.unavailable, "The controller can't store its state: \(error)")
        }
        noteStorage(failure: nil)
        (state, clusterMap) = (nextState, nextMap)
        isDirty = false
        lastSaved = clock.monotonic()
    }

    static let rolledBack = ControllerError(
        .unavailable,
        "The nodes know a newer map than this controller's data folder holds: the folder is an old copy. "
            + "Put the newest one back.")

    private func storeState(now: Int) {
        lastSaved = now
        do {
            try commit { _, _ in }
        } catch {
            logger.debug("The state stays unsaved", metadata: ["reason": "\(error)"])
        }
    }

    private func storeEvents(now: Int) {
        lastEventsSaved = now
        let segments = log.dirty
        guard !segments.isEmpty else { return }
        do {
            try store.save(log)
            log.markStored(segments)
        } catch {
            noteStorage(failure: error)
        }
    }

    private func noteStorage(failure: StorageError?) {
        guard let failure else {
            if storageFailure != nil {
                storageFailure = nil
                record(.alarmCleared, .info, "The controller can store its state again")
            }
            return
        }
        if storageFailure == nil {
            record(.alarmRaised, .error, "The controller can't store its state, nothing is repaired: \(failure)")
        }
        storageFailure = failure.description
    }

    // MARK: Events

    func record(
        _ kind: ClusterEvent.Kind, _ severity: ClusterEvent.Severity, _ message: String, node: String? = nil,
        _ figures: ClusterEvent.Figures = ClusterEvent.Figures()
    ) {
        let event = log.append(kind, severity, message, node: node, figures: figures, wall: clock.wall())
        Controller.write(event, to: logger)
    }

    private static func write(_ event: ClusterEvent, to logger: Logger) {
        let level: Logger.Level =
            switch event.severity {
            case .info: .notice
            case .warning: .warning
            case .error: .error
            }
        var metadata: Logger.Metadata = ["kv.event": "\(event.id)"]
        if let node = event.node { metadata["kv.node"] = "\(node)" }
        logger.log(level: level, "\(event.kind.title): \(event.message)", metadata: metadata)
    }

    /// The name of a member or of a former one.
    func name(of node: NodeID) -> String {
        state.nodes.first { $0.id == node }?.name ?? state.former.first { $0.id == node }?.name ?? "node \(node)"
    }

    static func seconds(_ milliseconds: Int) -> String {
        let tenths = (milliseconds + 50) / 100
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
