import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// The process ends at some call, another one takes up what it began, and then the power goes: what the first one did and
/// did not make durable must not be built upon.
@Suite struct FolderPowerTests {
    /// Every disk that a power cut amid `second` may leave, after `first` has ended at its call number `calls`.
    /// - Returns: `nil` when `first` came to its end before.
    private func cuts(
        _ start: DiskImage, calls: Int, first: (SimulatedDisk) throws -> Void, second: (SimulatedDisk) throws -> Void
    ) throws -> [DiskImage]? {
        let disk = SimulatedDisk(start)
        disk.state.withLock { $0.failing = $0.calls + calls + 1..<Int.max }
        do {
            try first(disk)
            return nil
        } catch {
            #expect((error as? StorageError)?.code == .io)
        }
        let left = disk.state.withLock { $0.image }
        let moments = Mutex([left])
        try second(SimulatedDisk(left) { image in moments.withLock { $0.append(image) } })
        var randomness = Randomness(UInt64(calls))
        return moments.withLock { $0 }.flatMap { $0.crashes(drawn: 8, &randomness) }
    }

    private func opens(_ path: String, _ type: String, _ image: DiskImage) -> Bool {
        code {
            try DataFolder(path: path, backendType: type, disk: SimulatedDisk(image), newIdentity: nil).release()
        } == nil
    }

    @Test func `a conversion is handed over once`() throws {
        let note = ConversionNote(identity: 7, position: 1, sourceType: "old", targetType: "new", partitions: 4)
        let disk = SimulatedDisk()
        try DataFolder(path: "/old", backendType: "old", disk: disk, newIdentity: 7).release()
        try DataFolder.beginConversion(into: "/new", note: note, disk).lock.release()
        let start = disk.state.withLock { $0.image }
        func handOver(_ disk: SimulatedDisk) throws {
            guard try DataFolder.conversionNote(in: "/new", disk) != nil else { return }
            try DataFolder.finishConversion(from: "/old", to: "/new", type: "new", identity: 7, disk)
        }
        var calls = 0
        var (before, between, after) = (0, 0, 0)
        while let images = try cuts(start, calls: calls, first: handOver, second: handOver) {
            for image in images {
                let (old, new) = (opens("/old", "old", image), opens("/new", "new", image))
                #expect(!old || !new, "both open after \(calls) calls")
                if !old, !new {
                    let note = try DataFolder.conversionNote(in: "/new", SimulatedDisk(image))
                    #expect(note != nil, "nothing can be taken up after \(calls) calls")
                }
                (before, between, after) = (
                    before + (old ? 1 : 0), between + (old || new ? 0 : 1), after + (new ? 1 : 0)
                )
            }
            calls += 1
        }
        #expect(calls > 8)
        #expect(before > 0 && between > 0 && after > 0)
    }

    @Test func `what is being set aside stays whole, or is known to be in two parts`() throws {
        let disk = SimulatedDisk()
        try DataFolder(path: "/data", backendType: "lmdb", disk: disk, newIdentity: 7).release()
        try DataFolder.writeText("content", "/data", "data.mdb", disk)
        let start = disk.state.withLock { $0.image }
        var calls = 0
        var halves = 0
        let next = { (disk: SimulatedDisk) in
            try DataFolder(path: "/data", backendType: "sqlite", disk: disk, newIdentity: 9).release()
        }
        while let images = try cuts(
            start, calls: calls, first: { _ = try DataFolder.setAside("/data", $0) },
            second: { if try DataFolder.isBeingSetAside("/data", $0) { try next($0) } })
        {
            for image in images {
                let disk = SimulatedDisk(image)
                if try DataFolder.isBeingSetAside("/data", disk) {
                    halves += 1
                    try next(disk)
                }
                let isHere = try disk.names(in: "/data").contains("data.mdb")
                let place = isHere ? "/data" : "/data/.kv-old-lmdb"
                #expect(try disk.names(in: place).contains("data.mdb"), "after \(calls) calls")
                let folder = try DataFolder(path: place, backendType: "lmdb", disk: disk, newIdentity: nil)
                #expect(folder.identity == 7, "after \(calls) calls")
                folder.release()
            }
            calls += 1
        }
        #expect(calls > 10)
        #expect(halves > 10)
    }
}
