import Foundation
import KVProtocols
import Testing

@testable import KVFileBackend

@Suite struct FileBackendTests {
    private func open(_ folder: TestFolder) throws(StorageError) -> FileBackend {
        try FileBackend(BackendContext(path: folder.path, partitions: 8))
    }

    private func content(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    @Test("the value is the whole content of a file that is named like the key")
    func plainFiles() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        try backend.put(Key("mykey"), Array("myvalue".utf8))
        try backend.put(Key("grüße 日本"), [1])
        try backend.put(Key("a/b"), [2])
        try backend.put(Key("gone"), nil)
        #expect(try content("\(folder.path)/mykey") == Array("myvalue".utf8))
        #expect(output(of: "/bin/cat", ["\(folder.path)/mykey"]) == "myvalue")
        let visible = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !$0.hasPrefix(".") }
        #expect(Set(visible) == ["mykey", "grüße 日本", "a%2Fb"])
    }

    @Test("files are for the owner only")
    func modes() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        try backend.apply([
            .put(Key("k").partition, Key("k"), record(Key("k"), [1])),
            .put(Key("t").partition, Key("t"), record(Key("t"), nil)),
            .metadata(.node, "m", [1]),
        ])
        #expect(folder.files.count == 3)
        for file in folder.files {
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(file)")
        }
    }

    @Test("a file that grew or shrank by hand is noticed, also an empty one", arguments: [0, 1, 5000])
    func changedLength(length: Int) throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        let key = try Key("key")
        let file = "\(folder.path)/key"
        try backend.put(key, [UInt8](repeating: 7, count: length))
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: file))
        try handle.truncate(atOffset: UInt64(length + 1))
        #expect(code { _ = try backend.read(key.partition, key) } == .damaged)
        #expect(code { _ = try backend.version(key.partition, key) } == .damaged)
        try handle.truncate(atOffset: UInt64(length))
        #expect(try backend.value(key)?.count == length)
        if length > 0 {
            try handle.truncate(atOffset: UInt64(length - 1))
            #expect(code { _ = try backend.read(key.partition, key) } == .damaged)
        }
        try handle.close()
    }

    @Test("a folder in the place of a record is damage, and names the path")
    func folderInPlace() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        let key = try Key("key")
        let file = "\(folder.path)/key"
        try backend.put(key, [1])
        try FileManager.default.removeItem(atPath: file)
        try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
        let error = #expect(throws: StorageError.self) { try backend.read(key.partition, key) }
        #expect(error?.code == .damaged)
        #expect(error?.path == file)
    }

    @Test("swapped value files are noticed")
    func swappedFiles() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        let (one, two) = (try Key("one"), try Key("two"))
        try backend.put(one, Array("same".utf8))
        try backend.put(two, Array("size".utf8))
        try FileManager.default.moveItem(atPath: "\(folder.path)/one", toPath: "\(folder.path)/.swap")
        try FileManager.default.moveItem(atPath: "\(folder.path)/two", toPath: "\(folder.path)/one")
        try FileManager.default.moveItem(atPath: "\(folder.path)/.swap", toPath: "\(folder.path)/two")
        #expect(code { _ = try backend.read(one.partition, one) } == .damaged)
        #expect(code { _ = try backend.read(two.partition, two) } == .damaged)
    }

    @Test("a symbolic link in the place of a record is not followed, and a write replaces it")
    func links() throws {
        let folder = try TestFolder()
        let outside = try TestFolder()
        let secret = "\(outside.path)/secret"
        try Data("secret".utf8).write(to: URL(fileURLWithPath: secret))
        let backend = try open(folder)
        let key = try Key("link")
        try backend.put(key, [1])
        try FileManager.default.removeItem(atPath: "\(folder.path)/link")
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/link", withDestinationPath: secret)
        #expect(code { _ = try backend.read(key.partition, key) } == .damaged)
        try backend.put(key, [2], 2)
        #expect(try backend.value(key) == [2])
        #expect(try content(secret) == Array("secret".utf8))
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/other", withDestinationPath: secret)
        try backend.close()
        let reopened = try open(folder)
        #expect(try reopened.read(Key("other").partition, Key("other")) == nil)
        #expect(try reopened.statistics().details.first { $0.name == "ignored_files" }?.value == 1)
    }

    @Test("a folder or a pipe in the place of a record is an error, not a hang")
    func strangeEntries() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        let key = try Key("k")
        try backend.put(key, [1])
        try FileManager.default.removeItem(atPath: "\(folder.path)/k")
        #expect(mkfifo("\(folder.path)/k", 0o600) == 0)
        #expect(code { _ = try backend.read(key.partition, key) } == .damaged)
        try FileManager.default.removeItem(atPath: "\(folder.path)/k")
        #expect(code { _ = try backend.read(key.partition, key) } == .damaged)
        try FileManager.default.createDirectory(atPath: "\(folder.path)/k", withIntermediateDirectories: false)
        #expect(code { try backend.put(key, [2], 2) } == .foreign)
        try FileManager.default.removeItem(atPath: "\(folder.path)/k")
        try backend.put(key, [3], 3)
        #expect(try backend.value(key) == [3])
    }

    @Test("files of other programs are listed as damaged, never served")
    func foreignFiles() throws {
        let folder = try TestFolder()
        try Data("hello".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/README"))
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/%2e"))
        try FileManager.default.createDirectory(atPath: "\(folder.path)/lost+found", withIntermediateDirectories: false)
        let backend = try open(folder)
        let key = try Key("README")
        #expect(code { _ = try backend.read(key.partition, key) } == .damaged)
        #expect(try backend.statistics().keys == 1)
        try backend.put(Key("lost+found"), [1])
        #expect(try backend.value(Key("lost+found")) == [1])
    }

    @Test("a key belongs to the partition of its slot")
    func partitions() throws {
        let backend = try open(try TestFolder())
        let key = try Key("k")
        let other = PartitionID((key.partition.rawValue + 1) % 8)
        #expect(code { try backend.apply([.put(other, key, record(key, [1]))]) } == .invalid)
        #expect(try backend.read(other, key) == nil)
    }

    @Test("temporary files of a crash are swept, and a begun wipe is finished")
    func crashLeftovers() throws {
        let folder = try TestFolder()
        let backend = try open(folder)
        let key = try Key("k")
        let other = try Key("{x}other")
        try #require(key.partition != other.partition)
        try backend.put(key, [1])
        try backend.put(other, [2])
        try backend.apply([.metadata(.partition(key.partition), "m", [1])])
        try backend.close()
        let temporary = "\(folder.path)/.backend-temporary/17"
        try Data([1]).write(to: URL(fileURLWithPath: temporary))
        let mark = "\(folder.path)/.backend-metadata/\(FileFolders.wipeMark(key.partition))"
        try Data().write(to: URL(fileURLWithPath: mark))
        let reopened = try open(folder)
        #expect(!FileManager.default.fileExists(atPath: temporary))
        #expect(!FileManager.default.fileExists(atPath: mark))
        #expect(try reopened.read(key.partition, key) == nil)
        #expect(try reopened.metadata(.partition(key.partition), "m") == nil)
        #expect(try reopened.value(other) == [2])
    }

    @Test("of a value and a tombstone that a crash left together the newer one stays", arguments: [true, false])
    func crashBetweenPlaces(isTombstoneNewer: Bool) throws {
        let folder = try TestFolder()
        let key = try Key("k")
        let name = "\(folder.path)/k"
        let backend = try open(folder)
        try backend.put(key, [1], isTombstoneNewer ? 1 : 2)
        try FileManager.default.moveItem(atPath: name, toPath: "\(name).aside")
        try backend.put(key, nil, isTombstoneNewer ? 2 : 1)
        try FileManager.default.moveItem(atPath: "\(name).aside", toPath: name)
        try backend.close()
        let reopened = try open(folder)
        #expect(try reopened.read(key.partition, key)?.isTombstone == isTombstoneNewer)
        #expect(try reopened.read(key.partition, key)?.version.sequence == 2)
        #expect(folder.files.count == 1)
    }

    @Test("file names and keys correspond one to one")
    func names() throws {
        for text in [".", "..", "a/b", "%", "%2F", "lost+found", "lost+foun", ".x", "x.", "\u{7F}", "\n", "日本"] {
            let key = try Key(text)
            #expect(FileName.key(of: FileName.name(of: key)) == key, "\(text)")
        }
        #expect(FileName.name(of: try Key("plain.txt")) == "plain.txt")
        #expect(FileName.name(of: try Key(".a/%")) == "%2Ea%2F%25")
        for name in ["%2f", "%41", "%", "%2", "%zz", ".a", "", "lost+found", "%~00"] {
            #expect(FileName.key(of: name) == nil)
        }
        #expect(FileName.name(of: try Key(String(repeating: "a", count: 255))).utf8.count == 255)
        #expect(FileName.isHashed(FileName.name(of: try Key(String(repeating: "a", count: 256)))))
    }

    @Test("SHA-256 matches its published examples")
    func hash() {
        #expect(SHA256.hexadecimal([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            SHA256.hexadecimal(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let two = Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)
        #expect(SHA256.hexadecimal(two) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    }

    @Test("the key index behaves like a sorted dictionary")
    func index() throws {
        var index = KeyIndex()
        var model: [Key: KeyIndex.Place] = [:]
        var state: UInt64 = 1
        func random(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        for step in 0..<20_000 {
            let key = try Key(String(repeating: "k", count: Int(random(3))) + "\(random(2000))")
            if random(3) == 0 {
                #expect(index.remove(key) == model.removeValue(forKey: key))
            } else {
                let place: KeyIndex.Place = random(2) == 0 ? .value : .tombstone
                #expect(index.set(key, place) == model.updateValue(place, forKey: key))
            }
            #expect(index.count == model.count)
            guard step % 1000 == 0 else { continue }
            let sorted = model.keys.sorted()
            #expect(index.page(after: nil, prefix: [], limit: .max).keys == sorted)
            #expect(
                index.page(after: key, prefix: [107], limit: 10).keys
                    == Array(sorted.filter { $0 > key && $0.hasPrefix([107]) }.prefix(10)))
            for known in sorted.prefix(50) { #expect(index.place(of: known) == model[known]) }
        }
    }
}
