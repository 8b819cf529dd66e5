import Foundation
import KVConformance
import KVProtocols
import Testing

/// A small file system in memory, mounted on a folder. Only root may mount.
private final class SmallDisk {
    let folder: TestFolder

    /// `nil` when this user or system can't mount one.
    init?(megabytes: Int) throws {
        folder = try TestFolder()
        guard geteuid() == 0,
            output(of: "/bin/mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m", "kv-test", folder.path]) != nil
        else { return nil }
    }

    deinit { _ = output(of: "/bin/umount", ["-l", folder.path]) }

    static let isAvailable: Bool = {
        guard let disk = try? SmallDisk(megabytes: 1) else { return false }
        let file = "\(disk.folder.path)/x"
        // Older kernels have no user attributes on tmpfs.
        return FileManager.default.createFile(atPath: file, contents: nil)
            && output(of: "/usr/bin/env", ["python3", "-c", "import os; os.setxattr('\(file)', 'user.x', b'1')"]) != nil
    }()
}

@Suite(.serialized) struct DiskTests {
    @Test(
        "a full disk is an error that the backend survives",
        .enabled(if: SmallDisk.isAvailable, "needs root and tmpfs"),
        arguments: Engine.durable)
    func fullDisk(engine: Engine) throws {
        let disk = try #require(try SmallDisk(megabytes: 12))
        let store = try TestFolder(in: disk.folder.path)
        var backend = try engine.open(store)
        let value = [UInt8](repeating: 0x5A, count: 64 << 10)
        var stored: [Key] = []
        var failure: StorageError?
        for number in 0..<400 where failure == nil {
            let key = try Key("key-\(number)")
            do {
                try backend.put(key, value)
                stored.append(key)
            } catch {
                failure = error
            }
        }
        #expect(failure?.code == .full, "\(String(describing: failure))")
        #expect(stored.count > 20)
        for key in stored { #expect(try backend.value(key) == value) }
        #expect(code { try backend.put(Key("again"), value + value) } == .full)
        #expect(output(of: "/bin/mount", ["-o", "remount,size=48m", disk.folder.path]) != nil)
        for number in 0..<20 { try backend.put(Key("more-\(number)"), value) }
        for key in stored { #expect(try backend.value(key) == value) }
        try backend.close()
        backend = try engine.open(store)
        for key in stored { #expect(try backend.value(key) == value) }
        #expect(try backend.statistics().keys >= UInt64(stored.count + 20))
        try backend.close()
    }

    @Test(
        "RocksDB doesn't even try to go on while a full disk has no room for what it has in memory",
        .enabled(if: SmallDisk.isAvailable, "needs root and tmpfs"))
    func noRoom() throws {
        let disk = try #require(try SmallDisk(megabytes: 12))
        let store = try TestFolder(in: disk.folder.path)
        let backend = try #require(Engine.named("plugin:rocksdb")).open(store)
        let value = [UInt8](repeating: 0x5A, count: 64 << 10)
        func refusal() -> StorageError? {
            for number in 0..<400 {
                do { try backend.put(Key("key-\(number)"), value) } catch { return error as? StorageError }
            }
            return nil
        }
        #expect(refusal()?.code == .full)
        for _ in 0..<3 {
            let error = refusal()
            #expect(
                error?.code == .full && error?.message.contains("still full") == true, "\(String(describing: error))")
        }
        #expect(output(of: "/bin/mount", ["-o", "remount,size=64m", disk.folder.path]) != nil)
        #expect(refusal() == nil)
        try backend.close()
    }

    #if SQLite
    @Test(
        "sqlite is not opened on a full disk while its log has what the database lacks",
        .enabled(if: SmallDisk.isAvailable, "needs root and tmpfs"), arguments: [0, 256])
    func fullDiskWithLog(spareKilobytes: Int) throws {
        let disk = try #require(try SmallDisk(megabytes: 12))
        let engine = try #require(Engine.named("sqlite"))
        let first = try TestFolder()
        let backend = try engine.open(first)
        let value = [UInt8](repeating: 0x5A, count: 64 << 10)
        let keys = try (0..<20).map { try Key("key-\($0)") }
        for key in keys { try backend.put(key, value) }
        // What a killed process leaves.
        let store = try TestFolder(in: disk.folder.path)
        for file in first.files where !file.hasSuffix("-shm") {
            try FileManager.default.copyItem(
                atPath: file, toPath: "\(store.path)/\((file as NSString).lastPathComponent)")
        }
        try backend.close()
        let filler = "\(disk.folder.path)/filler"
        _ = output(of: "/bin/dd", ["if=/dev/zero", "of=\(filler)", "bs=4k"])
        #expect(output(of: "/usr/bin/truncate", ["-s", "-\(spareKilobytes)K", filler]) != nil)
        let error = #expect(throws: StorageError.self) { _ = try engine.open(store) }
        #expect(error?.code == .full, "\(String(describing: error))")
        try FileManager.default.removeItem(atPath: filler)
        let again = try engine.open(store)
        for key in keys { #expect(try again.value(key) == value) }
        try again.close()
    }
    #endif

    @Test(
        "a folder that can't be written is refused with its name",
        .enabled(if: SmallDisk.isAvailable, "needs root and tmpfs"), arguments: Engine.durable)
    func readOnly(engine: Engine) throws {
        let disk = try #require(try SmallDisk(megabytes: 8))
        let store = try TestFolder(in: disk.folder.path)
        let backend = try engine.open(store)
        try backend.put(Key("k"), [1])
        try backend.close()
        #expect(output(of: "/bin/mount", ["-o", "remount,ro", disk.folder.path]) != nil)
        let error = #expect(throws: StorageError.self) { _ = try engine.open(store) }
        #expect(error?.code == .readOnly, "\(String(describing: error))")
        #expect(error?.path.hasPrefix(store.path) == true)
        #expect(output(of: "/bin/mount", ["-o", "remount,rw", disk.folder.path]) != nil)
    }

    @Test("a bit flipped in a stored value is noticed", arguments: Engine.durable.filter(\.isolatesDamage))
    func bitFlip(engine: Engine) throws {
        let folder = try TestFolder()
        let key = try Key("k")
        let value = Array("only here: 0b5e8a54-9b0d".utf8)
        var backend = try engine.open(folder)
        try backend.put(key, value)
        try backend.close()
        try flipBit(in: folder.path, key, value)
        backend = try engine.open(folder)
        #expect(code { _ = try backend.read(key.partition, key) } == .damaged)
        #expect(try backend.version(key.partition, key) != nil)
        try backend.close()
    }

    @Test("damaged metadata is noticed", arguments: Engine.durable)
    func damagedMetadata(engine: Engine) throws {
        let folder = try TestFolder()
        let value = Array("only here: 1f0c55aa-7777".utf8)
        var backend = try engine.open(folder)
        try backend.apply([.metadata(.node, "identity", value)])
        try backend.close()
        try flipBit(in: folder.path, Key("unused"), value)
        backend = try engine.open(folder)
        #expect(code { _ = try backend.metadata(.node, "identity") } == .damaged)
        try backend.close()
    }

    // RocksDB chooses the modes of its files; those are in a folder for the owner only.
    @Test(
        "every file that a backend makes is for its owner only",
        arguments: Engine.durable.filter { $0.factory.type != "plugin:rocksdb" })
    func modes(engine: Engine) throws {
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        try backend.put(Key("k"), [1])
        #expect(!folder.files.isEmpty)
        for file in folder.files {
            #expect(
                try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600, "\(file)")
        }
        try backend.close()
    }
}
