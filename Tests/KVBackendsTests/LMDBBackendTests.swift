#if LMDB
import Foundation
import KVLMDBBackend
import KVProtocols
import Testing

@Suite struct LMDBBackendTests {
    private func open(_ folder: TestFolder, mapBytes: Int64 = 1 << 30) throws(StorageError) -> LMDBBackend {
        try LMDBBackend(BackendContext(path: folder.path, partitions: 8, options: ["map_bytes": .integer(mapBytes)]))
    }

    private func mapBytes(_ backend: LMDBBackend) throws -> UInt64? {
        try backend.statistics().details.first { $0.name == "map_bytes" }?.value
    }

    @Test("a small map grows until a batch fits, and stays readable throughout")
    func growth() async throws {
        let folder = try TestFolder()
        let backend = try open(folder, mapBytes: 64 << 10)
        #expect(try mapBytes(backend) == 64 << 10)
        let first = try Key("first")
        try backend.put(first, [1])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<2000 {
                    let value = try backend.value(first)
                    #expect(value == [1])
                }
            }
            for round in 0..<4 {
                let keys = try (0..<100).map { try Key("\(round)-\($0)") }
                try backend.apply(keys.map { .put($0.partition, $0, record($0, [UInt8](repeating: 1, count: 8000))) })
            }
            try await group.waitForAll()
        }
        #expect(try backend.statistics().keys == 401)
        #expect(try mapBytes(backend) ?? 0 >= 4 << 20)
        try backend.close()
        let reopened = try open(folder, mapBytes: 64 << 10)
        #expect(try reopened.statistics().keys == 401)
        #expect(try reopened.value(Key("3-99"))?.count == 8000)
    }

    @Test("an empty data.mdb is damage, not a new store")
    func emptyFile() throws {
        let folder = try TestFolder()
        let file = "\(folder.path)/data.mdb"
        #expect(FileManager.default.createFile(atPath: file, contents: nil))
        #expect(code { _ = try open(folder) } == .damaged)
        #expect(try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int == 0)
    }

    @Test("a link to a data.mdb that is gone is an error, and not replaced")
    func danglingLink() throws {
        let folder = try TestFolder()
        let file = "\(folder.path)/data.mdb"
        try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "\(folder.path)/gone/data.mdb")
        #expect(code { _ = try open(folder) } == .io)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: file) == "\(folder.path)/gone/data.mdb")
    }

    @Test("a folder is opened once per process")
    func inUse() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        #expect(code { _ = try open(folder) } == .inUse)
        try backend.close()
        try open(folder).close()
    }

    @Test("a database that was cut off is refused instead of crashing later")
    func truncated() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        let keys = try (0..<100).map { try Key("k\($0)") }
        try backend.apply(keys.map { .put($0.partition, $0, record($0, [UInt8](repeating: 1, count: 9000))) })
        try backend.close()
        let file = "\(folder.path)/data.mdb"
        // Down to where not even the roots of the trees are left.
        for length in [64 << 10, 8_823, 8_192] {
            #expect(truncate(file, length) == 0)
            #expect(code { _ = try open(folder) } == .damaged)
        }
        try Data("no database".utf8).write(to: URL(fileURLWithPath: file))
        #expect(code { _ = try open(folder) } == .foreign)
    }

    @Test("the file covers every page after wipes and large batches")
    func wipes() throws {
        let folder = try TestFolder()
        for round in 0..<3 {
            let backend = try open(folder)
            let keys = try (0..<500).map { try Key("k\($0)") }
            var batch = keys.map {
                StorageOperation.put($0.partition, $0, record($0, [UInt8](repeating: 1, count: 3000)))
            }
            if round > 0 { batch += (0..<8).map { .wipe(PartitionID($0)) } }
            try backend.apply(batch)
            #expect(try backend.statistics().keys == (round > 0 ? 0 : 500))
            try backend.close()
        }
    }
}
#endif
