import Foundation
import KVMemoryBackend
import KVProtocols
import KVStorage
import Testing

@testable import KVNode

/// The cluster map as a node keeps it.
@Suite struct SavedMapTests {
    @Test(arguments: [1, 64, 16_384]) func `a map of any size is kept, replaced and forgotten`(partitions: Int) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "kv-map-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(at: folder) }
        let backend = try MemoryBackend.factory.open(
            BackendContext(path: folder.path, partitions: partitions, options: ["allow_volatile": .boolean(true)]))
        let storage = try NodeStorage(
            folder: DataFolder(path: folder.path, backendType: "memory"), backend: backend, partitions: partitions,
            settings: NodeStorage.Settings(seed: 1), notify: { _ in })
        #expect(try storage.savedMap(partitions: partitions) == nil)
        for epoch in 1...3 as ClosedRange<UInt64> {
            let map = Self.map(partitions, epoch: epoch)
            try storage.saveMap(map)
            #expect(try storage.savedMap(partitions: partitions) == map)
        }
        #expect(throws: StorageError.self) { try storage.savedMap(partitions: partitions + 1) }
        storage.forgetMap()
        #expect(try storage.savedMap(partitions: partitions) == nil)
        // The backend takes all of it: no value is beyond what it must be able to store.
        try storage.saveMap(Self.map(partitions, epoch: 4))
        try storage.stop()
    }

    private static func map(_ partitions: Int, epoch: UInt64) -> ClusterMap {
        let nodes = (1...4 as ClosedRange<UInt32>).map { number in
            NodeInfo(
                id: NodeID(number), name: "worker\(number)", address: "127.0.0.1:800\(number)",
                peerAddress: "127.0.0.1:900\(number)", incarnation: UInt64.max - UInt64(number), boot: 1)
        }
        let configuration = Configuration(initial: [NodeID(1), NodeID(2), NodeID(3)])
        return ClusterMap(
            cluster: 42, name: "test", epoch: epoch, policy: .standard, nodes: nodes,
            partitions: [Configuration](repeating: configuration, count: partitions))
    }
}
