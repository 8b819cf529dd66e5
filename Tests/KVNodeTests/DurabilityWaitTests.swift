import Foundation
import KVMemoryBackend
import KVProtocols
import KVReplication
import KVStorage
import KVTransport
import Logging
import Synchronization
import Testing

@testable import KVNode

/// Waiting for the disk, which may be full for hours.
@Suite struct DurabilityWaitTests {
    private struct NoLinks: PeerLinks {
        func send(_ messages: [PeerMessage], to node: NodeID) {}
    }

    private final class Answers: Sendable {
        let all = Mutex<[Bool]>([])
    }

    /// Nothing becomes durable in here: the engine is not told what the journal did.
    @Test func `who waits for the disk is let go when the node stops`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "kv-wait-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(at: folder) }
        let backend = try MemoryBackend.factory.open(
            BackendContext(path: folder.path, partitions: 1, options: ["allow_volatile": .boolean(true)]))
        let storage = try NodeStorage(
            folder: DataFolder(path: folder.path, backendType: "memory"), backend: backend, partitions: 1,
            settings: NodeStorage.Settings(seed: 1), notify: { _ in })
        let engine = Engine(
            settings: NodeSettings(
                name: "a", clusterName: "test", policy: .standard, partitions: 1, address: "", peerAddress: "",
                zone: "",
                backend: "memory", version: "test"),
            storage: storage,
            identity: NodeIdentity(cluster: 0, node: NodeID(0), name: "a", incarnation: 1, boot: 1), map: nil,
            links: NoLinks(), logger: Logger(label: "a") { _ in SwiftLogNoOpLogHandler() })
        storage.saveNode("something", [1])
        let answers = Answers()
        engine.turn([.whenDurable { isDurable in answers.all.withLock { $0.append(isDurable) } }])
        #expect(answers.all.withLock { $0 } == [])
        engine.turn([.stopWaiting])
        #expect(answers.all.withLock { $0 } == [false])
        engine.turn([.whenDurable { isDurable in answers.all.withLock { $0.append(isDurable) } }])
        #expect(answers.all.withLock { $0 } == [false, false])
        try storage.stop()
    }
}
