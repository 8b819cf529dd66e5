import Foundation
import KVBackends
import KVProtocols
import Testing

@Suite struct RegistryTests {
    @Test("a factory is found by its type")
    func found() throws {
        for engine in Engine.builtIn {
            #expect(try BackendRegistry.factory(type: engine.factory.type).type == engine.factory.type)
        }
    }

    @Test("an unknown type is told apart from one that was not compiled in")
    func unknown() throws {
        let unknown = #expect(throws: StorageError.self) { try BackendRegistry.factory(type: "rocks") }
        #expect(unknown?.code == .invalid)
        #expect(unknown?.message.contains("memory, file") == true)
        let small = BackendRegistry.standard.filter { $0.type != "lmdb" }
        let missing = #expect(throws: StorageError.self) { try BackendRegistry.factory(type: "lmdb", in: small) }
        #expect(missing?.code == .unsupported)
        #expect(missing?.message.contains("--traits LMDB") == true)
    }

    @Test("an option that a backend doesn't have is refused")
    func options() throws {
        let folder = try TestFolder()
        let context = BackendContext(path: folder.path, partitions: 8, options: ["cache": .integer(1)])
        for engine in Engine.builtIn {
            #expect(code { _ = try BackendRegistry.open(type: engine.factory.type, context) } == .invalid)
        }
    }

    @Test("options outside their range are refused", arguments: [("lmdb", "map_bytes"), ("sqlite", "readers")])
    func ranges(type: String, option: String) throws {
        guard let engine = Engine.named(type) else { return }
        for value in [OptionValue.integer(0), .string("many"), .integer(.max)] {
            #expect(code { _ = try engine.open(try TestFolder(), options: [option: value]) } == .invalid)
        }
    }

    @Test("another backend's folder is refused, an emptied one is taken", arguments: Engine.durable)
    func foreignFolder(engine: Engine) throws {
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        try backend.put(Key("k"), [1])
        try backend.close()
        for other in Engine.durable where other.factory.type != engine.factory.type {
            #expect(code { _ = try other.open(folder) } == .foreign)
        }
        #expect(try FolderMarker.type(of: folder.path) == engine.factory.type)
        try engine.open(folder).destroy()
        let other = Engine.durable.first { $0.factory.type != engine.factory.type }
        let taken = try #require(try other?.open(folder))
        try taken.close()
    }

    @Test("a folder made for another number of partitions is refused", arguments: Engine.durable)
    func partitions(engine: Engine) throws {
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        try backend.put(Key("k"), [1])
        try backend.close()
        #expect(code { _ = try engine.factory.open(BackendContext(path: folder.path, partitions: 16)) } == .foreign)
    }

    @Test("a marker that can't be understood is refused")
    func marker() throws {
        let folder = try TestFolder()
        for text in ["", "format 2\ntype file\npartitions 8\n", "\u{0}\u{0}", "format 1\n"] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/.backend-type"))
            #expect(code { _ = try FolderMarker.type(of: folder.path) } == .foreign)
        }
    }
}
