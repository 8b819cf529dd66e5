import Foundation
import KVProtocols
import Testing

@testable import KVStorage

@Suite struct SettingAsideTests {
    private func makeFolder(_ path: String) throws -> UInt64 {
        let folder = try DataFolder(path: path, backendType: "lmdb")
        defer { folder.release() }
        for name in ["data.mdb", ".backend-type"] {
            try Data(name.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        }
        try Data("segment".utf8).write(to: URL(fileURLWithPath: "\(path)/.kv/journal/segment-0000000000000001"))
        return folder.identity
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private func checkMoved(_ place: TemporaryFolder, identity: UInt64) throws {
        let old = place.path + "/.kv-old-lmdb"
        for name in ["data.mdb", ".backend-type"] { #expect(try text("\(old)/\(name)") == name) }
        #expect(try text("\(old)/.kv/journal/segment-0000000000000001") == "segment")
        let taken = try DataFolder(path: old, backendType: "lmdb")
        #expect(taken.identity == identity, "what was set aside opens as it was")
        taken.release()
        let new = try DataFolder(path: place.path, backendType: "sqlite")
        #expect(new.identity != identity)
        new.release()
        let left = try FileManager.default.contentsOfDirectory(atPath: place.path).sorted()
        #expect(left == [".kv", ".kv-old-lmdb"])
    }

    /// Who wants to read what a folder holds, or to fill it, leaves it as it is while it is being emptied.
    private func checkUnfinished(_ path: String) throws {
        let files = FileManager.default
        let isUnfinished = try DataFolder.isBeingSetAside(path)
        #expect(isUnfinished == files.fileExists(atPath: "\(path)/.kv/\(DataFolder.asideName)"))
        guard isUnfinished else { return }
        let before = try files.subpathsOfDirectory(atPath: path).sorted()
        let world = try ConversionWorld()
        let place = world.place(path, "lmdb", world.newEngine)
        #expect {
            try place.records(ConversionWorld.partitions) { _ in }
        } throws: {
            ($0 as? StorageError)?.code == .foreign && "\($0)".contains(".kv-old-lmdb")
        }
        let into = world.place(world.new.path, "new", world.newEngine)
        for (from, to) in [(place, into), (world.place(world.old.path, "old", world.oldEngine), place)] {
            let conversion = StorageConversion(from: from, to: to, partitions: ConversionWorld.partitions)
            #expect(code { _ = try conversion.run(nodeNames: { _ in [] }, report: { _ in }) } == .foreign)
        }
        #expect(try files.subpathsOfDirectory(atPath: path).sorted() == before)
        #expect(opens(world.old.path, "old"))
    }

    @Test func `a folder's data goes aside and another backend begins in its place`() throws {
        let place = try TemporaryFolder()
        let identity = try makeFolder(place.path)
        #expect(try DataFolder.occupant(of: place.path) == "lmdb")
        #expect(try DataFolder.setAside(place.path) == place.path + "/.kv-old-lmdb")
        #expect(try DataFolder.occupant(of: place.path) == nil)
        try checkMoved(place, identity: identity)
        #expect(try DataFolder.occupant(of: place.path) == "sqlite")
    }

    @Test func `a claim keeps others out and is refused where data went or lives`() throws {
        let place = try TemporaryFolder()
        _ = try makeFolder(place.path)
        let claim = try DataFolder.claim(place.path)
        #expect(code { try DataFolder.setAside(place.path) } == .inUse)
        #expect(code { _ = try DataFolder.claim(place.path) } == .inUse)
        claim.release()
        let folder = try DataFolder(path: place.path, backendType: "lmdb")
        #expect(code { _ = try DataFolder.claim(place.path) } == .inUse)
        folder.release()

        let world = try ConversionWorld()
        try world.convert()
        #expect(code { _ = try DataFolder.claim(world.old.path) } == .foreign)
        #expect(code { _ = try DataFolder.claim(world.old.path) } == .foreign, "the lock was given back")
    }

    @Test func `wherever it is interrupted, opening the folder finishes it`() throws {
        var calls = 0
        var wasWhole = false
        while !wasWhole {
            let place = try TemporaryFolder()
            let identity = try makeFolder(place.path)
            let disk = FailingDisk(after: calls)
            do { _ = try DataFolder.setAside(place.path, disk) } catch { #expect(disk.hasFailed) }
            wasWhole = !disk.hasFailed
            try checkUnfinished(place.path)
            // The note of what is intended is the first thing to become durable; before it, nothing has changed.
            if try FileManager.default.contentsOfDirectory(atPath: place.path).contains("data.mdb"),
                try !FileManager.default.contentsOfDirectory(atPath: place.path + "/.kv").contains(DataFolder.asideName)
            {
                let folder = try DataFolder(path: place.path, backendType: "lmdb")
                #expect(folder.identity == identity, "after \(calls) calls")
                folder.release()
            } else {
                if try DataFolder.occupant(of: place.path) == "lmdb" { try DataFolder.setAside(place.path) }
                try checkMoved(place, identity: identity)
            }
            calls += 1
        }
        #expect(calls > 10)
    }

    @Test func `a second folder of the same kind gets a number`() throws {
        let place = try TemporaryFolder()
        _ = try makeFolder(place.path)
        try DataFolder.setAside(place.path)
        _ = try makeFolder(place.path)
        #expect(try DataFolder.setAside(place.path) == place.path + "/.kv-old-lmdb-2")
    }

    @Test func `a folder that is in use stays as it is`() throws {
        let place = try TemporaryFolder()
        let folder = try DataFolder(path: place.path, backendType: "lmdb")
        #expect { try DataFolder.setAside(place.path) } throws: { ($0 as? StorageError)?.code == .inUse }
        folder.release()
        #expect(try DataFolder.occupant(of: place.path + "/nothing") == nil)
        for nothing in ["/nothing", "/.kv/lock"] {
            #expect(try !DataFolder.isBeingSetAside(place.path + nothing))
        }
    }
}
