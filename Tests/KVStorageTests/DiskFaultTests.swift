import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// One call of the disk fails, whichever it is.
@Suite(.timeLimit(.minutes(4))) struct DiskFaultTests {
    static let actions: [StorageWorld.Action] =
        CrashTests.scripts[2].actions + CrashTests.scripts[3].actions + [.restart] + CrashTests.recycling

    /// Runs until the storage can't be opened. `true` when it came to the end.
    static func run(_ world: StorageWorld) -> Bool {
        do {
            try world.run(actions)
            return true
        } catch {
            return false
        }
    }

    static func calls() throws -> Int {
        let world = try StorageWorld()
        try world.run(actions)
        return world.disk.state.withLock { $0.calls }
    }

    @Test func `after any call that failed nothing is acknowledged that a power cut could take`() throws {
        let calls = try Self.calls()
        var states = 0
        var poisoned = 0
        for call in 1...calls {
            var randomness = Randomness(UInt64(call))
            // A folder that could not even be opened has acknowledged nothing.
            guard let world = try? StorageWorld(failing: call..<call + 1) else { continue }
            _ = Self.run(world)
            if world.storage.failure != nil { poisoned += 1 }
            var checker = CrashChecker(world)
            let moments = world.recorder.takeAll()
            guard let last = moments.last, let other = moments.randomElement(using: &randomness) else { continue }
            let end = CrashRecorder.Moment(
                image: last.image, content: last.content, job: nil, acknowledged: world.acknowledged)
            try checker.check(end, drawn: 2, &randomness)
            try checker.check(other, drawn: 1, &randomness)
            states += checker.states
        }
        #expect(poisoned > 10)
        print("crash states: \(states) (one of \(calls) calls fails, \(poisoned) times for good)")
    }

    @Test(arguments: [1, 3])
    func `a disk that is full for a while delays everything and loses nothing`(length: Int) throws {
        let calls = try Self.calls()
        var states = 0
        var survived = 0
        for call in 1...calls {
            var randomness = Randomness(UInt64(call))
            guard let world = try? StorageWorld(failing: call..<call + length, failure: SimulatedDisk.full),
                Self.run(world)
            else { continue }
            // Only a sync that failed is for good: what it left behind is unknown.
            let hasFailedSync = world.disk.state.withLock { $0.hasFailedSync }
            #expect((world.storage.failure == nil) || hasFailedSync, "call \(call): \(world.storage.failure as Any)")
            try world.run([.settle, .settle, .settle, .settle, .settle])
            if world.storage.failure == nil {
                survived += 1
                #expect(world.acknowledged == world.storage.appended, "call \(call)")
                #expect(world.storage.degradation == nil, "call \(call)")
            }
            guard let last = world.recorder.takeAll().last else { continue }
            var checker = CrashChecker(world)
            let end = CrashRecorder.Moment(
                image: last.image, content: last.content, job: nil, acknowledged: world.acknowledged)
            try checker.check(end, drawn: 1, &randomness)
            states += checker.states
        }
        #expect(survived > calls / 4)
        print("crash states: \(states) (full for \(length) of \(calls) calls, survived \(survived))")
    }

    @Test func `after a commit of the backend failed nothing is acknowledged any more`() throws {
        let world = try StorageWorld()
        try world.run([.put(0, "a"), .settle])
        world.backend.state.withLock { $0.failures = [StorageError(.poisoned, "a commit failed")] }
        // The journal has the second entry in hand while the flusher fails.
        try world.run([.tick, .put(0, "b"), .commit, .flusher, .events])
        #expect(world.storage.failure?.code == .poisoned)
        try world.run([.journal, .events, .settle])
        #expect(world.storage.durable == 1)
    }

    @Test func `a journal that finds no room goes on in a segment that a flush has freed`() throws {
        let world = try StorageWorld()
        for number in 0..<150 { try world.run([.put(0, "k\(number)"), .commit, .journal, .events]) }
        #expect(try world.storage.statistics().journalSegments > 2)
        try world.run(.tick)
        world.disk.state.withLock { $0.refusesFiles = true }
        for number in 0..<80 { try world.run([.put(0, "k\(number)"), .commit, .journal, .events]) }
        #expect(world.storage.degradation?.code == .full)
        #expect(world.acknowledged < 230)
        // Nobody frees space, but the flusher catches up.
        try world.run([.flusher, .events, .settle])
        #expect(world.acknowledged == 230)
        #expect(world.storage.degradation == nil)
    }

    @Test func `a slow disk fills the overlay and the backend gets nothing early`() throws {
        let world = try StorageWorld()
        for number in 0..<600 { try world.run([.put(number % 2, "k\(number)"), .commit, .tick, .flusher, .events]) }
        #expect(world.storage.isOverLimit)
        #expect(world.acknowledged == 0)
        #expect(world.backend.state.withLock { $0.batches.isEmpty })
        try world.run([.settle, .tick, .settle])
        #expect(world.acknowledged == 600)
        #expect(!world.storage.isOverLimit)
    }
}
