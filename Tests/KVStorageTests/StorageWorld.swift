import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// One node's storage over a simulated disk, without threads: every step of journal and flusher happens when it is told to,
/// and every moment amid a step is kept for `CrashChecker`.
final class StorageWorld {
    /// What reads must show after some prefix of what was staged.
    struct Content: Equatable {
        var records: [PartitionID: [Key: Record]] = [:]
        var states: [PartitionID: PartitionState] = [:]
        var node: [UInt8]?
    }

    enum Action {
        case put(Int, String)
        case purge(Int, String)
        case wipe(Int)
        case save(Int)
        case node
        case commit
        /// A second passes: a flush is due.
        case tick
        /// One step of the journal, one of the flusher.
        case journal
        case flusher
        /// Takes in one event, or all that wait.
        case event
        case events
        /// Commits, and takes steps and events until nothing happens any more.
        case settle
        case stop
        /// The process dies, the system lives on, and a new process opens the folder.
        case restart
    }

    let recorder: CrashRecorder
    let disk: SimulatedDisk
    private(set) var backend: FakeBackend
    private(set) var storage: NodeStorage
    private let events: EventQueue
    /// `contents[n]` is what must be seen after the entries up to position n.
    private(set) var contents: [Content]
    private var counter: UInt64

    /// Starts with an empty disk and backend, or opens what is there: a prefix of `contents`, with everything that was
    /// acknowledged.
    init(
        _ image: DiskImage = DiskImage(), backend: FakeBackend = FakeBackend(pageLimit: 100),
        contents: [Content] = [Content()], acknowledged: UInt64 = 0, failing: Range<Int> = 0..<0,
        failure: StorageError = SimulatedDisk.broken
    ) throws {
        let recorder = CrashRecorder(backend: backend, acknowledged: acknowledged)
        self.recorder = recorder
        self.backend = backend
        disk = SimulatedDisk(image) { recorder.record($0) }
        disk.state.withLock { state in
            state.failing = failing
            state.failure = failure
        }
        events = EventQueue()
        storage = try CrashChecker.open(disk, backend, events)
        let position = try CrashChecker.compare(storage, contents, from: acknowledged)
        self.contents = Array(contents.prefix(Int(position) + 1))
        counter = UInt64(contents.count) * 1000
        recorder.acknowledge(position)
        backend.state.withLock { $0.observe = { recorder.record(content: $0) } }
    }

    /// Every entry up to here was reported durable.
    var acknowledged: UInt64 { recorder.acknowledged }

    func run(_ actions: [Action]) throws {
        for action in actions { try run(action) }
    }

    func run(_ action: Action) throws {
        switch action {
        case .put(let partition, let name): try put(partition, name)
        case .purge(let partition, let name): try purge(partition, name)
        case .wipe(let partition): wipe(partition)
        case .save(let partition): save(partition)
        case .node: saveNode()
        case .commit: storage.commit()
        case .tick: storage.tick(nowMilliseconds: storage.nowMilliseconds + 1000)
        case .journal: stepJournal()
        case .flusher: _ = storage.flusher.step()
        case .event: if let event = events.next() { handle(event) }
        case .events: while let event = events.next() { handle(event) }
        case .settle: settle()
        case .stop: try storage.stop()
        case .restart: try restart()
        }
    }

    private func stepJournal() {
        // While the journal works, the flusher may be anywhere in its job.
        recorder.flushing(storage.flusher.waitingJob)
        _ = storage.journal.step()
        recorder.flushing(nil)
    }

    private func settle() {
        storage.commit()
        var isIdle = false
        while !isIdle {
            isIdle = true
            if case .worked = storage.journal.step() { isIdle = false }
            if case .worked = storage.flusher.step() { isIdle = false }
            while let event = events.next() {
                handle(event)
                isIdle = false
            }
        }
    }

    private func handle(_ event: StorageEvent) {
        let before = storage.durable
        let hadFailed = storage.failure != nil
        storage.handle(event)
        #expect(!hadFailed || storage.durable == before, "acknowledged after a failure")
        recorder.acknowledge(storage.durable)
    }

    private func restart() throws {
        storage.abandon()
        while events.next() != nil {}
        backend = backend.reopened()
        backend.state.withLock { $0.observe = { [recorder] in recorder.record(content: $0) } }
        storage = try CrashChecker.open(disk, backend, events)
        let position = try CrashChecker.compare(storage, contents, from: acknowledged)
        // What was not there any more was never acknowledged: its positions are given again.
        contents.removeSubrange(Int(position) + 1..<contents.count)
        recorder.acknowledge(position)
    }

    // MARK: Staging

    private func put(_ number: Int, _ name: String) throws {
        let partition = PartitionID(UInt16(number))
        let key = try key(name)
        counter += 1
        let record = record(key, counter, counter % 5 == 0 ? nil : "v\(counter)")
        storage.put(partition, key, record, replacing: try storage.version(partition, key))
        append { $0.records[partition, default: [:]][key] = record }
    }

    private func purge(_ number: Int, _ name: String) throws {
        let partition = PartitionID(UInt16(number))
        let key = try key(name)
        guard let old = try storage.version(partition, key) else { return try put(number, name) }
        storage.purge(partition, key, replacing: old)
        append { content in
            content.records[partition]?[key] = nil
            if content.records[partition]?.isEmpty == true { content.records[partition] = nil }
        }
    }

    private func wipe(_ number: Int) {
        let partition = PartitionID(UInt16(number))
        storage.wipe(partition)
        append { content in
            content.records[partition] = nil
            content.states[partition] = nil
        }
    }

    private func save(_ number: Int) {
        let partition = PartitionID(UInt16(number))
        counter += 1
        let state = PartitionState(
            configuration: Configuration(initial: [NodeID(1), NodeID(2)]),
            promised: Ballot(counter: counter, node: NodeID(1)), purgeEpoch: counter)
        storage.save(partition, state)
        append { $0.states[partition] = state }
    }

    private func saveNode() {
        counter += 1
        let bytes = Array("\(counter)".utf8)
        storage.saveNode("identity", bytes)
        append { $0.node = bytes }
    }

    private func append(_ change: (inout Content) -> Void) {
        var content = contents[contents.count - 1]
        change(&content)
        contents.append(content)
    }
}

/// The events of a storage's workers, in their order.
final class EventQueue: Sendable {
    private let events = Mutex<[StorageEvent]>([])

    func append(_ event: StorageEvent) { events.withLock { $0.append(event) } }

    func next() -> StorageEvent? {
        events.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }
}
