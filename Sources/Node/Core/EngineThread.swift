import KVProtocols
import KVReplication
import KVStorage
import KVTransport
import Logging

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The engine with its thread and its mailbox: what the rest of the node may call from anywhere.
///
/// `@unchecked Sendable`: `worker` is set once by `start`, before anybody else knows this object, and cleared by `join`.
final class EngineThread: @unchecked Sendable {
    /// The longest time between two turns: keeps the flusher's and the machines' clocks going.
    private static let turnMilliseconds = 10
    /// When this many operations are under way, a turn waits a moment for more to come: one frame per peer, one sync
    /// and one wake-up then serve many. A lone client never waits.
    private static let busyOperations = 8
    private static let gatherMicroseconds: UInt32 = 250

    let mailbox: Mailbox
    private var worker: WorkerThread?

    /// What the thread takes over when it starts, and nobody else touches afterwards: hence `@unchecked Sendable`.
    private final class Handover: @unchecked Sendable {
        let make: () -> Engine

        init(_ make: @escaping () -> Engine) { self.make = make }
    }

    init(mailbox: Mailbox) {
        self.mailbox = mailbox
    }

    /// Starts the thread; `make` is called on it, and what it captures belongs to the thread from here on.
    func start(_ make: @escaping () -> Engine) throws(StorageError) {
        let handover = Handover(make)
        let mailbox = mailbox
        worker = try WorkerThread {
            let engine = handover.make()
            var batch: [EngineCommand] = []
            while !engine.isStopped {
                mailbox.take(into: &batch, milliseconds: Self.turnMilliseconds)
                if engine.pending.count >= Self.busyOperations {
                    usleep(Self.gatherMicroseconds)
                    mailbox.takeMore(into: &batch)
                }
                engine.turn(batch)
            }
            engine.drain(mailbox.close())
        }
    }

    func join() {
        worker?.join()
        worker = nil
    }

    // MARK: - Questions

    func execute(_ partition: PartitionID, _ operation: Operation, deadline: UInt64) async -> Answer {
        await withCheckedContinuation { continuation in
            let taken = mailbox.put(
                .operation(partition, operation, deadline: deadline) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: Answer(outcome: .refused(.failed), leader: nil)) }
        }
    }

    func ask(_ node: NodeID, _ request: PeerRequest, deadline: UInt64) async -> PeerReply? {
        await withCheckedContinuation { continuation in
            let taken = mailbox.put(
                .ask(node, request, deadline: deadline) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    func read(_ partition: PartitionID, _ key: Key) async -> Result<Record?, StorageError> {
        await withCheckedContinuation { continuation in
            let taken = mailbox.put(.read(partition, key) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: .failure(Self.stopped)) }
        }
    }

    func listLocally(_ request: ListRequest) async -> ListReply? {
        await withCheckedContinuation { continuation in
            let taken = mailbox.put(.listLocally(request) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    func report() async -> EngineReport? {
        await withCheckedContinuation { continuation in
            let taken = mailbox.put(.report { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    func adopt(_ identity: NodeIdentity) async -> NodeIdentity? {
        await withCheckedContinuation { continuation in
            let taken = mailbox.put(.identity(identity) { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
    }

    /// Waits until all that was staged before is on the disk. `false` when it never will be.
    func durable() async -> Bool {
        await withCheckedContinuation { continuation in
            let taken = mailbox.put(.whenDurable { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: false) }
        }
    }

    /// Ends every operation, stops the storage cleanly and ends the thread.
    func stop() async -> StorageError? {
        let error = await withCheckedContinuation { (continuation: CheckedContinuation<StorageError?, Never>) in
            let taken = mailbox.put(.stop { continuation.resume(returning: $0) })
            if !taken { continuation.resume(returning: nil) }
        }
        join()
        return error
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
            case .read(_, _, let completion): completion(.failure(EngineThread.stopped))
            case .listLocally(_, let completion):
                completion(ListReply(entries: [], hasMore: false, incomplete: []))
            case .identity(_, let completion): completion(identity)
            case .whenDurable(let completion): completion(false)
            case .report(let completion): completion(report())
            case .stop(let completion): completion(nil)
            case .peer, .storage, .map, .refusal, .distrust: break
            }
        }
        for waiter in durabilityWaiters { waiter.completion(false) }
        durabilityWaiters.removeAll()
    }
}
