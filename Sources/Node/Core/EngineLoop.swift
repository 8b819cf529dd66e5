import KVProtocols
import KVReplication
import KVStorage
import KVTransport
import Logging
import NIOCore

/// The engine on its event loop, with its mailbox: what the rest of the node may call from anywhere.
///
/// The loop is the one of the peer links: what a turn of the loop has read from all sockets is handled in one turn of
/// the engine, and what that sends leaves in the same turn of the loop. A message costs no change of thread, and what
/// arrives together is answered, sent and synced together without anybody waiting for it.
///
/// `@unchecked Sendable`: `engine` and `ticker` are touched only on `loop`'s thread.
final class EngineLoop: @unchecked Sendable {
    /// The longest time between two turns: keeps the flusher's and the machines' clocks going.
    private static let turnInterval = TimeAmount.milliseconds(10)

    private let loop: any EventLoop
    private let mailbox: Mailbox
    private var engine: Engine?
    private var ticker: RepeatedTask?

    /// What the loop takes over when it starts, and nobody else touches afterwards: hence `@unchecked Sendable`.
    private final class Handover: @unchecked Sendable {
        let make: () -> Engine

        init(_ make: @escaping () -> Engine) { self.make = make }
    }

    init(loop: any EventLoop, mailbox: Mailbox = Mailbox()) {
        self.loop = loop
        self.mailbox = mailbox
    }

    /// `make` is called on the loop, and what it captures belongs to the loop from here on. What was put in before waits
    /// for it.
    func start(_ make: @escaping () -> Engine) {
        let handover = Handover(make)
        loop.execute { [self] in
            engine = handover.make()
            ticker = loop.scheduleRepeatedTask(initialDelay: .zero, delay: Self.turnInterval) { [weak self] _ in
                self?.turn()
            }
        }
    }

    /// From any thread; one lock, and at most one wake-up for all that is put in until the next turn. `false` when the
    /// engine has stopped, or is so far behind that a peer's messages were dropped.
    @discardableResult
    func put(_ command: EngineCommand) -> Bool {
        let (isTaken, wakes) = mailbox.put(command)
        if wakes { loop.execute { [self] in turn() } }
        return isTaken
    }

    private func turn() {
        guard let engine, !engine.isStopped else { return }
        engine.turn(mailbox.take())
        guard engine.isStopped else { return }
        ticker?.cancel()
        engine.drain(mailbox.close())
        self.engine = nil
    }

    // MARK: - Questions

    /// Runs one operation; `completion` is called once, on the loop or here and now.
    func submit(
        _ partition: PartitionID, _ operation: Operation, deadline: UInt64,
        completion: @escaping @Sendable (Answer) -> Void
    ) {
        if !put(.operation(partition, operation, deadline: deadline, completion: completion)) {
            completion(Answer(outcome: .refused(.failed), leader: nil))
        }
    }

    func ask(_ node: NodeID, _ request: PeerRequest, deadline: UInt64) async -> PeerReply? {
        await withCheckedContinuation { continuation in
            let taken = put(.ask(node, request, deadline: deadline) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    func read(_ partition: PartitionID, _ key: Key) async -> Result<Record?, StorageError> {
        await withCheckedContinuation { continuation in
            let taken = put(.read(partition, key) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: .failure(Self.stopped)) }
        }
    }

    func listLocally(_ request: ListRequest) async -> ListReply? {
        await withCheckedContinuation { continuation in
            let taken = put(.listLocally(request) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    func report() async -> EngineReport? {
        await withCheckedContinuation { continuation in
            let taken = put(.report { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    func adopt(_ identity: NodeIdentity) async -> NodeIdentity? {
        await withCheckedContinuation { continuation in
            let taken = put(.identity(identity) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    /// Waits until all that was staged before is on the disk, which a full disk may keep from coming true for hours.
    /// `false` when it never will be, and when the task is cancelled: its node stops, and nobody need wait any more.
    func durable() async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let taken = put(.whenDurable { continuation.resume(returning: $0) })
                if !taken { continuation.resume(returning: false) }
            }
        } onCancel: {
            put(.stopWaiting)
        }
    }

    /// Ends every operation and stops the storage cleanly, which holds the loop until the backend has everything. The
    /// peer links are best shut down before.
    func stop() async -> StorageError? {
        await withCheckedContinuation { (continuation: CheckedContinuation<StorageError?, Never>) in
            let taken = put(.stop { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    static let stopped = StorageError(.closed, "the node is stopping")
}

extension Engine {
    /// Answers what came while the engine stopped.
    func drain(_ commands: [EngineCommand]) {
        for command in commands {
            switch command {
            case .operation(_, _, _, let completion):
                completion(Answer(outcome: .refused(.failed), leader: nil))
            case .ask(_, _, _, let completion): completion(nil)
            case .read(_, _, let completion): completion(.failure(EngineLoop.stopped))
            case .listLocally(_, let completion): completion(.nothing(of: settings.partitions))
            case .identity(_, let completion): completion(identity)
            case .whenDurable(let completion): completion(false)
            case .report(let completion): completion(report())
            case .stop(let completion): completion(nil)
            case .peer, .storage, .map, .refusal, .distrust, .stopWaiting: break
            }
        }
        for ask in asked.values { ask.completion(nil) }
        asked.removeAll()
        for waiter in durabilityWaiters { waiter.completion(false) }
        durabilityWaiters.removeAll()
    }
}
