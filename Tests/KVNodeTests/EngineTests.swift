import Foundation
import KVFileBackend
import KVProtocols
import KVReplication
import KVTransport
import Logging
import Synchronization
import Testing

@testable import KVNode
@testable import KVStorage

/// The engine alone, on the test's own thread: no peers, no controller, a real journal.
@Suite struct EngineTests {
    private static let partitions = 4
    private static let segmentBytes = 4 << 20

    private struct Silence: PeerLinks {
        func send(_ messages: [PeerMessage], to node: NodeID) {}
    }

    /// Peers that promise and confirm whatever they are asked, but say nothing of what they hold: node 3 holds what nobody else does.
    private final class Yielding: PeerLinks {
        private let state = Mutex<(answers: [EngineCommand], recalls: Set<PartitionID>)>(([], []))
        private let differing = {
            var digest = PartitionDigest()
            digest.update(Key(unchecked: [1]), from: nil, to: Version(ballot: .zero, sequence: 1), seed: 1)
            return digest
        }()

        /// The partitions in which node 3 was asked what it holds.
        var recalls: Set<PartitionID> { state.withLock { $0.recalls } }

        func take() -> [EngineCommand] {
            state.withLock { state in
                defer { state.answers = [] }
                return state.answers
            }
        }

        func send(_ messages: [PeerMessage], to node: NodeID) {
            for case .machine(let partition, let header, let message) in messages {
                let answer: Message? =
                    switch message {
                    case .canvass: .supported
                    case .prepare: .promised(node == NodeID(3) ? differing : PartitionDigest())
                    case .confirm(let round): .confirmed(round: round)
                    default: nil
                    }
                state.withLock { state in
                    if case .recall = message { state.recalls.insert(partition) }
                    guard let answer else { return }
                    state.answers.append(.peer(.received(from: node, [.machine(partition, header, answer)])))
                }
            }
        }
    }

    /// What the storage's threads tell, until the test takes it.
    private final class Events: Sendable {
        private let waiting = Mutex<[StorageEvent]>([])

        func put(_ event: StorageEvent) { waiting.withLock { $0.append(event) } }
        func take() -> [StorageEvent] {
            waiting.withLock { events in
                defer { events = [] }
                return events
            }
        }
    }

    private func withEngine(
        links: any PeerLinks = Silence(), partitions: Int = EngineTests.partitions,
        _ body: (Engine, DataFolder, Events) throws -> Void
    ) throws {
        let place = try NodeFolder()
        let folder = try DataFolder(path: place.path, backendType: "file")
        let backend = try FileBackend.factory.open(BackendContext(path: place.path, partitions: partitions))
        let events = Events()
        // Nothing is flushed: all that was staged stays in the journal.
        let storage = try NodeStorage(
            folder: folder, backend: backend, partitions: partitions,
            settings: NodeStorage.Settings(
                seed: 1, segmentBytes: Self.segmentBytes, flushDelayMilliseconds: 3_600_000),
            notify: { events.put($0) })
        let settings = NodeSettings(
            name: "worker1", clusterName: "test", policy: .standard, partitions: partitions,
            address: "127.0.0.1:1", peerAddress: "127.0.0.1:2", zone: "", backend: "file", version: "test")
        let engine = Engine(
            settings: settings, storage: storage,
            identity: NodeIdentity(cluster: 7, node: NodeID(1), name: "worker1", incarnation: 5, boot: 1), map: nil,
            links: links, logger: Logger(label: "engine") { _ in SwiftLogNoOpLogHandler() })
        defer { storage.abandon() }
        try body(engine, folder, events)
    }

    private func key(_ number: Int, of partition: PartitionID) -> Key {
        let names = (0...).lazy.map { Key(unchecked: Array("key \(number) \($0)".utf8)) }
        return names.first { $0.partition(of: Self.partitions) == partition } ?? Key(unchecked: [1])
    }

    private func record(_ key: Key, _ value: [UInt8]?) -> Record {
        Record(
            key: key, version: Version(ballot: Ballot(counter: 4, node: NodeID(2)), sequence: 1), value: value)
    }

    /// All at once they would take memory for every partition of a large node, and the queues in which clients wait.
    @Test func membersAreBroughtUpToDateInAFewPartitionsAtATime() throws {
        let (links, partitions) = (Yielding(), 2 * Engine.maximumRepairs)
        try withEngine(links: links, partitions: partitions) { engine, _, events in
            let configuration = Configuration(initial: [NodeID(1), NodeID(2), NodeID(3)])
            for index in 0..<partitions { engine.step(PartitionID(UInt16(index)), .configuration(configuration)) }
            func turn(while goesOn: () -> Bool) {
                while goesOn(), engine.storage.failure == nil {
                    engine.turn(links.take() + events.take().map { .storage($0) })
                }
            }
            turn { !engine.replicas.allSatisfy { $0?.machine.isSynced == true } || links.recalls.isEmpty }
            let start = engine.now
            turn { engine.now < start + 200 }
            #expect(links.recalls.count == Engine.maximumRepairs)
            // Node 3 is silent: those that wait for it give way.
            turn { links.recalls.count < partitions && engine.now < start + 30_000 }
            #expect(links.recalls.count == partitions)
        }
    }

    /// Under its old number a node that has wiped would have forgotten what it promised.
    @Test func aNewIdentityIsInTheJournalBeforeWhatItWipes() throws {
        try withEngine { engine, folder, events in
            for index in 0..<Self.partitions {
                let partition = PartitionID(UInt16(index))
                engine.step(partition, .configuration(Configuration(initial: [NodeID(1), NodeID(2), NodeID(3)])))
                let key = key(0, of: partition)
                engine.storage.put(partition, key, record(key, [1]), replacing: nil)
            }
            let given = NodeIdentity(cluster: 7, node: NodeID(9), name: "worker1", incarnation: 5, boot: 1)
            engine.turn([.identity(given) { _ in }])
            while engine.storage.durable < engine.storage.appended, engine.storage.failure == nil {
                engine.turn(events.take().map { .storage($0) })
            }
            var identities: [UInt64] = []
            var lastPut: UInt64 = 0
            // Each partition was also wiped when this node joined it, before anything was put there.
            var wipes: [UInt64] = []
            _ = try JournalRecovery(
                files: folder.journal, folder: folder.identity, segmentBytes: Self.segmentBytes, applied: 0
            ) { position, entry throws(StorageError) in
                switch entry {
                case .node(Engine.identityName, _): identities.append(position)
                case .put: lastPut = position
                case .wipe: wipes.append(position)
                default: break
                }
            }
            let identity = try #require(identities.last)
            let later = wipes.filter { $0 > lastPut }
            #expect(later.count == Self.partitions)
            #expect(later.allSatisfy { $0 > identity }, "identity at \(identity), wipes at \(later)")
        }
    }

    @Test func aMessageAboutAKeyOfAnotherPartitionIsDropped() throws {
        try withEngine { engine, _, _ in
            let partition = PartitionID(2)
            engine.step(partition, .configuration(Configuration(initial: [NodeID(1), NodeID(2), NodeID(3)])))
            let header = Header(epoch: 1, ballot: Ballot(counter: 4, node: NodeID(2)), purgeEpoch: 0)
            func accept(_ key: Key) -> EngineCommand {
                .peer(.received(from: NodeID(2), [.machine(partition, header, .accept(key, record(key, [1])))]))
            }
            let foreign = key(0, of: PartitionID(1))
            engine.turn([accept(foreign)])
            #expect(engine.counters.misplacedMessages == 1)
            let dropped = try engine.storage.read(partition, foreign)
            #expect(dropped == nil)
            let own = key(0, of: partition)
            engine.turn([accept(own)])
            #expect(engine.counters.misplacedMessages == 1)
            let stored = try engine.storage.read(partition, own)
            #expect(stored == record(own, [1]))
        }
    }

    @Test func aPageEndsAfterMuchThatIsDeletedAndSaysHowFarItReached() throws {
        try withEngine { engine, _, _ in
            let partition = PartitionID(0)
            engine.step(partition, .configuration(Configuration(initial: [NodeID(1), NodeID(2), NodeID(3)])))
            let deleted = PageBounds.entriesLookedAt + 100
            for number in 0..<deleted {
                let key = key(10_000 + number, of: partition)
                engine.storage.put(partition, key, record(key, nil), replacing: nil)
            }
            let live = key(99_999, of: partition)
            engine.storage.put(partition, live, record(live, [1]), replacing: nil)
            let request = ListRequest(prefix: [], after: nil, limit: 10, values: true, localOnly: true)
            let first = engine.listLocally(request)
            #expect(first.entries.isEmpty)
            #expect(first.reach == key(10_000 + PageBounds.entriesLookedAt - 1, of: partition))
            var rest = request
            rest.after = first.reach
            let second = engine.listLocally(rest)
            #expect(second.entries.map(\.key) == [live])
            #expect(second.reach == nil)
        }
    }
}

/// A path of its own, whose folder is removed at the end.
private final class NodeFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "kv-engine-\(UUID().uuidString)").path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
