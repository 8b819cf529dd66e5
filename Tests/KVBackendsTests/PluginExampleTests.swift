import Foundation
import KVBackends
import KVPluginBackend
import KVProtocols
import Testing

/// What the example engines promise beside the conformance suite.
@Suite struct PluginExampleTests {
    private func engine(_ name: String) throws -> Engine {
        try #require(Engine.all.first { $0.factory.type == "plugin:\(name)" }, "see `PluginLibraryTests.examples`")
    }

    private func log(_ folder: TestFolder) throws -> Data {
        try Data(contentsOf: URL(filePath: "\(folder.path)/page.log"))
    }

    private func write(_ data: Data, _ folder: TestFolder) throws {
        try data.write(to: URL(filePath: "\(folder.path)/page.log"))
    }

    @Test("an engine is opened once", arguments: ["tiny", "page", "rocksdb"])
    func inUse(name: String) throws {
        let engine = try engine(name)
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        #expect(code { _ = try engine.open(folder) } == .inUse)
        try backend.close()
        try engine.open(folder).close()
    }

    #if os(Linux)
    @Test(
        "a process that is being started, which has copies of all descriptors, keeps no lock",
        arguments: Engine.durable)
    func copiedDescriptors(engine: Engine) throws {
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        let files = FileManager.default
        let copies = try files.contentsOfDirectory(atPath: "/proc/self/fd").filter { name in
            let path = try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            return path?.hasPrefix(folder.path) == true
        }.compactMap { Int32($0) }.map { dup($0) }
        defer { for copy in copies { close(copy) } }
        #expect(!copies.isEmpty)
        try backend.close()
        try engine.open(folder).close()
    }
    #endif

    @Test("an option that an engine does not have is refused", arguments: ["tiny", "page", "rocksdb"])
    func options(name: String) throws {
        let folder = try TestFolder()
        let error = #expect(throws: StorageError.self) {
            _ = try engine(name).open(folder, options: ["colour": .string("blue")])
        }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains("option") == true)
    }

    @Test("a scan starts behind a text that is longer than any key", arguments: Engine.all)
    func longStart(engine: Engine) throws {
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        let text = "{t}" + String(repeating: "x", count: 477)
        let keys = try [Key("{t}a"), Key(text), Key("{t}y")]
        for key in keys { try backend.put(key, [1]) }
        for length in [481, 2000] {
            let after = Key(unchecked: Array((text + String(repeating: "x", count: length - 480)).utf8))
            let page = try backend.scan(ScanRequest(partition: keys[0].partition, after: after, limit: 10))
            #expect(page.entries.map(\.key) == [keys[2]])
        }
        try backend.close()
    }

    @Test("the page engine keeps whole batches however far a crash let the last one come")
    func tornBatch() throws {
        let engine = try engine("page")
        let folder = try TestFolder()
        let keys = try (0..<3).map { try Key("{t}\($0)") }
        let backend = try engine.open(folder)
        try backend.put(keys[0], [1])
        let before = try log(folder)
        try backend.apply(keys[1...].map { .put($0.partition, $0, record($0, Array("value of \($0)".utf8))) })
        try backend.close()
        let after = try log(folder)
        // The last eight bytes are the mark, which need not have reached the disk.
        let whole = after.count - 8
        for length in before.count...after.count {
            // A file that ends early, and one of the full length of which only a part was written.
            for tail in [Data(), Data(count: after.count - length)] {
                try write(after.prefix(length) + tail, folder)
                let reopened = try engine.open(folder)
                #expect(try reopened.value(keys[0]) == [1])
                let isThere = length >= whole && length + tail.count == after.count
                for key in keys[1...] {
                    #expect(
                        try (reopened.read(key.partition, key) != nil) == isThere, "\(length) of \(after.count) bytes")
                }
                try reopened.put(keys[0], [2])
                try reopened.close()
                let again = try engine.open(folder)
                #expect(try again.value(keys[0]) == [2])
                #expect(try again.statistics().keys == (isThere ? 3 : 1))
                try again.close()
            }
        }
    }

    private func isRight(_ found: Result<[UInt8]?, StorageError>) -> Bool {
        switch found {
        case .success(let value): value == [3]
        case .failure(let error): error.code == .damaged
        }
    }

    @Test("the page engine never takes damage for a crash")
    func damagedLog() throws {
        let engine = try engine("page")
        let folder = try TestFolder()
        let key = try Key("k")
        let backend = try engine.open(folder)
        for number in 1...3 { try backend.put(key, [UInt8(number)], UInt64(number)) }
        try backend.close()
        let good = try log(folder)
        for position in good.indices {
            var bad = good
            bad[position] ^= 0x04
            try write(bad, folder)
            let opened = Result { () throws(StorageError) in try engine.open(folder) }
            switch opened {
            case .success(let reopened):
                let found = Result { () throws(StorageError) in try reopened.value(key) }
                #expect(isRight(found), "byte \(position): \(found)")
                try reopened.close()
            case .failure(let error):
                #expect(error.code == (position < 8 ? .foreign : .damaged), "byte \(position): \(error)")
            }
        }
    }

    @Test("RocksDB gives out nothing of a damaged block")
    func damagedBlock() throws {
        let engine = try engine("rocksdb")
        let folder = try TestFolder()
        let key = try Key("k")
        let value = Array("only here: 7a1c90d2-55aa".utf8)
        let backend = try engine.open(folder)
        try backend.put(key, value)
        try backend.close()
        try flipBit(in: folder.path, key, value)
        let reopened = try engine.open(folder)
        #expect(code { _ = try reopened.read(key.partition, key) } == .damaged)
        #expect(code { _ = try reopened.scan(ScanRequest(partition: key.partition, limit: 1)) } == .damaged)
        try reopened.put(key, [1])
        #expect(try reopened.value(key) == [1])
        try reopened.close()
    }

    @Test("RocksDB opens after a kill with all that was applied, and refuses a log that is damaged before its end")
    func killed() throws {
        let engine = try engine("rocksdb")
        let folder = try TestFolder()
        let keys = try [Key("{t}1"), Key("{t}2")]
        let value = Array("only here: 90d27a1c-aa55".utf8)
        let backend = try engine.open(folder)
        var notes: [Data] = []
        for key in keys {
            try backend.put(key, value + key.bytes)
            notes.append(try Data(contentsOf: URL(filePath: "\(folder.path)/rocksdb/acknowledged")))
        }
        // The files as they are now are those that a killed process leaves.
        let copies = try (0..<4).map { _ in try TestFolder() }
        for copy in copies {
            try FileManager.default.copyItem(atPath: "\(folder.path)/rocksdb", toPath: "\(copy.path)/rocksdb")
        }
        try backend.close()

        let whole = try engine.open(copies[0])
        for key in keys { #expect(try whole.value(key) == value + key.bytes) }
        #expect(try whole.statistics().keys == 2)
        try whole.close()

        try flipBit(in: copies[1].path, keys[0], value + keys[0].bytes)
        #expect(code { _ = try engine.open(copies[1]) } == .damaged)

        let log = try #require(copies[2].files.first { $0.hasSuffix(".log") })
        let content = try Data(contentsOf: URL(filePath: log))
        try content.dropLast(3).write(to: URL(filePath: log))
        #expect(code { _ = try engine.open(copies[2]) } == .damaged, "the second batch was acknowledged")
        try FileManager.default.removeItem(atPath: "\(copies[2].path)/rocksdb")
        try FileManager.default.copyItem(atPath: "\(copies[3].path)/rocksdb", toPath: "\(copies[2].path)/rocksdb")
        try content.dropLast(3).write(to: URL(filePath: log))
        try notes[0].write(to: URL(filePath: "\(copies[2].path)/rocksdb/acknowledged"))
        let torn = try engine.open(copies[2])
        #expect(try torn.value(keys[0]) == value + keys[0].bytes)
        #expect(try torn.value(keys[1]) == nil)
        #expect(try torn.statistics().keys == 1)
        try torn.close()
    }
}
