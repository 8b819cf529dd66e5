import Foundation
import KVProtocols
import Testing

@testable import KVStorage

@Suite struct DataFolderTests {
    @Test func `a new folder belongs to its owner alone`() throws {
        let place = try TemporaryFolder()
        let folder = try DataFolder(path: place.path + "/a/b", backendType: "fake")
        let mode = try FileManager.default.attributesOfItem(atPath: place.path + "/a/b")[.posixPermissions] as? Int
        #expect(mode == 0o700)
        #expect(folder.identity != 0)
    }

    @Test func `a folder that others may enter is refused with the remedy`() throws {
        let place = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: place.path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        #expect { try DataFolder(path: place.path, backendType: "fake") } throws: {
            "\($0)".contains("chmod 700") && ($0 as? StorageError)?.code == .invalid
        }
    }

    @Test func `a second open names the process that has the folder`() throws {
        let place = try TemporaryFolder()
        let folder = try DataFolder(path: place.path, backendType: "fake")
        #expect { try DataFolder(path: place.path, backendType: "fake") } throws: {
            "\($0)".contains("\(getpid())") && ($0 as? StorageError)?.code == .inUse
        }
        folder.release()
        let again = try DataFolder(path: place.path, backendType: "fake")
        #expect(again.identity == folder.identity)
    }

    #if os(Linux)
    @Test func `a process that is being started, which has copies of all descriptors, keeps no lock`() throws {
        let place = try TemporaryFolder()
        let folder = try DataFolder(path: place.path, backendType: "fake")
        let copies = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").filter { name in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)"))
                == "\(place.path)/.kv/lock"
        }.compactMap { Int32($0) }.map { dup($0) }
        defer { for copy in copies { close(copy) } }
        #expect(copies.count == 1)
        folder.release()
        #expect(opens(place.path, "fake"))
    }
    #endif

    @Test func `another backend's folder is refused`() throws {
        let place = try TemporaryFolder()
        try DataFolder(path: place.path, backendType: "lmdb").release()
        #expect { try DataFolder(path: place.path, backendType: "sqlite") } throws: {
            "\($0)".contains("lmdb") && ($0 as? StorageError)?.code == .foreign
        }
    }

    @Test func `a folder with somebody's files is refused`() throws {
        let place = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: place.path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try Data("hello".utf8).write(to: URL(fileURLWithPath: place.path + "/letter.txt"))
        #expect { try DataFolder(path: place.path, backendType: "fake") } throws: {
            "\($0)".contains("letter.txt") && ($0 as? StorageError)?.code == .foreign
        }
    }
}
