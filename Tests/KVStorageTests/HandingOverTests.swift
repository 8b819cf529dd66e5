import Foundation
import KVProtocols
import Testing

@testable import KVStorage

/// One identity, one set of promises: of a converted folder and the one that it became, exactly one goes on.
@Suite struct HandingOverTests {
    @Test func `a converted folder is not set aside`() throws {
        let world = try ConversionWorld()
        try world.convert()
        let before = world.listing(world.old.path)
        #expect(code { try DataFolder.setAside(world.old.path) } == .foreign)
        #expect(world.listing(world.old.path) == before)
        // Nor any further, if it was begun by a program that did not look.
        try world.write(".kv-old-old", DataFolder.asideName, in: world.old.path)
        #expect(code { try DataFolder.setAside(world.old.path) } == .foreign)
        #expect(!opens(world.old.path, "other"))
        #expect(!world.listing(world.old.path).contains { $0.hasPrefix(".kv-old") })
    }

    @Test func `nothing is given up for an engine that keeps nothing`() throws {
        let world = try ConversionWorld()
        let before = try world.content(world.old.path, "old", world.oldEngine)
        #expect(code { try world.convert(to: "memory", engine: FakeEngine(durable: false)) } == .unsupported)
        #expect(try world.content(world.old.path, "old", world.oldEngine) == before)
        // The folder that was meant for it serves another engine.
        #expect(try world.convert().records == 20)
        #expect(try world.content(world.new.path, "new", world.newEngine) == before)
    }

    /// An engine that doesn't open, as one with options that it refuses.
    private func convertIntoNone(_ world: ConversionWorld, type: String) throws {
        let target = StorageConversion.Place(path: world.new.path, type: type) { _ throws(StorageError) in
            throw StorageError(.invalid, "the option 'map_bytes' is too small")
        }
        _ = try StorageConversion(
            from: world.place(world.old.path, "old", world.oldEngine), to: target,
            partitions: ConversionWorld.partitions
        ).run(nodeNames: { _ in ["note"] }, report: { _ in })
    }

    @Test func `an engine that does not open leaves the folder to another one`() throws {
        let world = try ConversionWorld()
        #expect(code { try convertIntoNone(world, type: "other") } == .invalid)
        #expect(!world.has(DataFolder.convertingName, in: world.new.path))
        #expect(try world.convert().records == 20)
    }

    @Test func `an engine that does not open leaves an interrupted conversion as it was`() throws {
        let world = try ConversionWorld()
        world.newEngine.altering = { if case .metadata = $0 { nil } else { $0 } }
        #expect(code { try world.convert() } == .damaged)
        #expect(code { try convertIntoNone(world, type: "new") } == .invalid)
        #expect(world.has(DataFolder.convertingName, in: world.new.path))
        #expect(code { try world.convert(to: "other") } == .foreign)
    }

    @Test func `where the data went is told although it is not there any more`() throws {
        let world = try ConversionWorld()
        try world.convert()
        try FileManager.default.removeItem(atPath: world.new.path)
        #expect {
            try world.convert()
        } throws: {
            ($0 as? StorageError)?.code == .foreign && "\($0)".contains("lives on in \(world.new.path)")
        }
        try FileManager.default.removeItem(atPath: world.old.path)
        #expect(code { try world.convert() } == .foreign, "there is nothing to convert")
    }

    @Test func `the folder of an engine that keeps nothing has nothing to hand out`() throws {
        let place = try TemporaryFolder()
        try DataFolder(path: place.path, backendType: "memory").release()
        let engine = FakeEngine(durable: false)
        let source = StorageConversion.Place(path: place.path, type: "memory") { _ throws(StorageError) in engine.open()
        }
        #expect(code { try source.records(ConversionWorld.partitions) { _ in } } == .unsupported)
    }

    @Test func `wherever it is interrupted, at most one folder opens, and the same call finishes it`() throws {
        var calls = 0
        var (wasWhole, handedOver) = (false, 0)
        while !wasWhole {
            let world = try ConversionWorld()
            let before = try world.content(world.old.path, "old", world.oldEngine)
            let disk = FailingDisk(after: calls)
            do { try world.convert(disk: disk) } catch { #expect(disk.hasFailed, "\(error)") }
            wasWhole = !disk.hasFailed
            let isGivenUp = world.has(DataFolder.convertedName, in: world.old.path)
            let isTaken = world.has(DataFolder.markerName, in: world.new.path)
            #expect(opens(world.old.path, "old") == !isGivenUp, "after \(calls) calls")
            if world.has(DataFolder.convertingName, in: world.new.path) {
                #expect(opens(world.new.path, "new") == isTaken, "after \(calls) calls")
                #expect(!isTaken || isGivenUp)
            }
            if isGivenUp, !wasWhole, world.has(DataFolder.convertingName, in: world.new.path) {
                handedOver += 1
                try checkOnlyTheSame(world)
            }
            if !wasWhole, !isGivenUp || world.has(DataFolder.convertingName, in: world.new.path) { try world.convert() }
            #expect(try world.content(world.new.path, "new", world.newEngine) == before, "after \(calls) calls")
            #expect(!opens(world.old.path, "old"))
            #expect(code { try world.convert() } == .foreign)
            calls += 1
        }
        #expect(calls > 30)
        #expect(handedOver > 3)
    }

    /// The old folder is given up, the new one not taken: nothing but the call that was interrupted may take it.
    private func checkOnlyTheSame(_ world: ConversionWorld) throws {
        let before = world.listing(world.new.path)
        #expect(code { try world.convert(to: "other") } == .foreign)
        let lock = try SystemDisk().lock("\(world.new.path)/.kv/lock")
        #expect(code { try world.convert() } == .inUse)
        lock.release()
        #expect(world.listing(world.new.path) == before)
    }

    @Test func `a note that a conversion left behind does not outlive its data`() throws {
        let world = try ConversionWorld()
        try world.convert()
        // As if the process had ended before the last removal.
        let identity = try DataFolder.marker("\(world.new.path)/.kv/backend", SystemDisk()).identity
        let note = "\(identity) 1 old new \(ConversionWorld.partitions)"
        try world.write(note, DataFolder.convertingName, in: world.new.path)
        try DataFolder.setAside(world.new.path)
        #expect(code { try world.convert() } == .foreign)
        let begun = try DataFolder(path: world.new.path, backendType: "other")
        defer { begun.release() }
        #expect(begun.identity != identity)
    }

    @Test func `metadata that is not read back as it was written stops it`() throws {
        for name in [StorageCheckpoint.stateName, StorageCheckpoint.digestName, "note", StorageCheckpoint.name] {
            for isLost in [true, false] {
                let world = try ConversionWorld()
                let before = try world.content(world.old.path, "old", world.oldEngine)
                world.newEngine.altering = { operation in
                    guard case .metadata(let scope, name, let bytes) = operation else { return operation }
                    return isLost ? nil : .metadata(scope, name, bytes.map { $0.dropLast() + [0x77] })
                }
                #expect(code { try world.convert() } == .damaged, "\(name)")
                #expect(try world.content(world.old.path, "old", world.oldEngine) == before)
                #expect(!opens(world.new.path, "new"))
            }
        }
    }

    @Test func `records that are gone from the disk don't count in the new folder's digest`() throws {
        let world = try ConversionWorld()
        let before = try world.content(world.old.path, "old", world.oldEngine)
        let gone = try key("key/3")
        let partition = gone.partition(of: ConversionWorld.partitions)
        world.oldEngine.change { $0.records[partition]?[gone] = nil }
        let summary = try world.convert()
        #expect(summary.records == 19)
        #expect(summary.inconsistentPartitions == 1)
        let after = try world.content(world.new.path, "new", world.newEngine)
        #expect(after.states == before.states)
        for index in 0..<ConversionWorld.partitions {
            let there = after.records.filter { Int($0.key.partition(of: ConversionWorld.partitions).rawValue) == index }
            #expect(after.digests[index] == digest(of: there))
            #expect((after.digests[index] == before.digests[index]) == (index != Int(partition.rawValue)))
        }
    }
}
