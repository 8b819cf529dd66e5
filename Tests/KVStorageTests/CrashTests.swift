import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

@Suite(.timeLimit(.minutes(4))) struct CrashTests {
    /// What a crash may leave of a batch: all or nothing, its beginning, any part of it.
    enum Batches: CaseIterable {
        case atomic
        case ordered
        case unordered

        var backend: FakeBackend {
            FakeBackend(atomic: self == .atomic, unordered: self == .unordered, pageLimit: 100)
        }
    }

    /// Short lives of a storage; each ends with whatever is then under way.
    static let scripts: [(name: String, actions: [StorageWorld.Action])] = [
        (
            "the first entries",
            [.put(0, "a"), .put(1, "b"), .commit, .journal, .events, .put(0, "c"), .commit, .journal]
        ),
        (
            "many frames in one write",
            [.put(0, "a"), .commit, .put(0, "b"), .commit, .put(0, "a"), .commit, .journal, .event, .settle]
        ),
        (
            "a flush beside the journal",
            [
                .put(0, "a"), .put(0, "b"), .save(0), .node, .settle, .tick, .put(0, "a"), .commit, .put(1, "c"),
                .commit, .journal, .flusher, .event, .journal, .events, .journal, .settle,
            ]
        ),
        (
            "wipes and purges through two flushes",
            [
                .put(0, "a"), .put(0, "b"), .put(1, "a"), .save(0), .settle, .tick, .settle, .purge(0, "a"), .wipe(1),
                .save(1), .put(1, "z"), .commit, .journal, .events, .tick, .put(0, "b"), .commit, .journal, .flusher,
                .events, .settle,
            ]
        ),
        ("a clean stop", [.put(0, "a"), .put(1, "b"), .save(1), .settle, .put(0, "c"), .commit, .stop]),
        (
            "a stop, another life, a crash of the process, a third",
            [
                .put(0, "a"), .save(0), .stop, .restart, .put(0, "b"), .settle, .put(1, "c"), .commit, .restart,
                .put(1, "d"), .commit, .journal, .events, .tick, .settle,
            ]
        ),
    ]

    /// Segments are used again while entries go on: the stale content of each is the danger.
    static var recycling: [StorageWorld.Action] {
        var actions: [StorageWorld.Action] = []
        for round in 0..<14 {
            for number in 0..<24 { actions.append(.put(number % 2, "key-\(number)-\(round % 3)")) }
            actions += [.commit, .journal, .events]
            if round % 3 == 2 { actions += [.tick, .settle] }
        }
        return actions
    }

    @Test(arguments: scripts.indices, Batches.allCases)
    func `a power cut at any step of a short life keeps what was acknowledged`(index: Int, batches: Batches) throws {
        let script = Self.scripts[index]
        var randomness = Randomness(UInt64(index))
        let world = try StorageWorld(backend: batches.backend)
        try world.run(script.actions)
        try Self.checkAll(world, drawn: 8, &randomness, "\(script.name), \(batches)")
    }

    @Test(arguments: scripts.indices)
    func `a process that dies at any step leaves nothing that the next one can lose`(index: Int) throws {
        var randomness = Randomness(UInt64(index))
        let world = try StorageWorld()
        try world.run(Self.scripts[index].actions)
        var states = 0
        for moment in world.recorder.takeAll() {
            // The system lives on: what no sync reached is still there to be read.
            let backend = CrashChecker(world).backend(moment, &randomness)
            let next = try StorageWorld(
                moment.image, backend: backend, contents: world.contents, acknowledged: moment.acknowledged)
            try next.run([.put(0, "a"), .settle])
            #expect(next.acknowledged == UInt64(next.contents.count - 1))
            let moments = next.recorder.takeAll()
            guard let last = moments.last else { continue }
            var checker = CrashChecker(next)
            let end = CrashRecorder.Moment(
                image: last.image, content: last.content, job: nil, acknowledged: next.acknowledged)
            try checker.check(end, drawn: 2, &randomness)
            // The power may also go while the next process opens what the first one left.
            for moment in moments where randomness.oneIn(4) { try checker.check(moment, drawn: 1, &randomness) }
            states += checker.states
        }
        print("crash states: \(states) (after a process died in \(Self.scripts[index].name))")
    }

    @Test func `a power cut while segments are used again brings nothing stale back`() throws {
        var randomness = Randomness(1)
        let world = try StorageWorld(backend: FakeBackend(pageLimit: 100))
        try world.run(Self.recycling)
        let image = world.disk.state.withLock { $0.image }
        let newest = image.names.keys.compactMap {
            SegmentHeader.number(of: String($0.split(separator: "/").last ?? ""))
        }
        #expect(newest.max() ?? 0 > UInt64(image.created), "segments were not used again")
        try Self.checkAll(world, drawn: 4, &randomness, "recycling")
    }

    @Test(arguments: 0..<16, Batches.allCases)
    func `random lives with a power cut after each keep what was acknowledged`(seed: Int, batches: Batches) throws {
        var randomness = Randomness(UInt64(seed) * 3 + (batches == .atomic ? 0 : batches == .ordered ? 1 : 2))
        var world = try StorageWorld(backend: batches.backend)
        var states = 0
        for _ in 0..<6 {
            try world.run(Self.actions(Int.random(in: 10..<120, using: &randomness), &randomness))
            let moments = world.recorder.takeAll()
            var checker = CrashChecker(world)
            guard !moments.isEmpty else { continue }
            for _ in 0..<6 {
                let moment = moments[Int.random(in: 0..<moments.count, using: &randomness)]
                try checker.check(moment, drawn: 1, &randomness)
            }
            states += checker.states
            // One of them is what happened; life goes on from there.
            let moment = moments[Int.random(in: moments.count / 2..<moments.count, using: &randomness)]
            world = try Self.goOn(world, moment, &randomness)
        }
        print("crash states: \(states) (random life \(seed), \(batches))")
    }

    // MARK: Helpers

    static func checkAll(
        _ world: StorageWorld, drawn: Int, _ randomness: inout Randomness, _ name: String
    ) throws {
        var checker = CrashChecker(world)
        let moments = world.recorder.takeAll()
        for moment in moments { try checker.check(moment, drawn: drawn, &randomness) }
        #expect(!moments.isEmpty)
        print("crash states: \(checker.states) (\(name), \(moments.count) steps)")
    }

    /// A new process on what one of the crashes left.
    static func goOn(
        _ world: StorageWorld, _ moment: CrashRecorder.Moment, _ randomness: inout Randomness
    ) throws -> StorageWorld {
        let backend = CrashChecker(world).backend(moment, &randomness)
        return try StorageWorld(
            moment.image.crashed(&randomness), backend: backend, contents: world.contents,
            acknowledged: moment.acknowledged)
    }

    static func actions(_ count: Int, _ randomness: inout Randomness) -> [StorageWorld.Action] {
        // Some disks are slow: then much is staged between two steps of the journal.
        let slowness = [2, 4, 12][Int.random(in: 0..<3, using: &randomness)]
        return (0..<count).map { _ in
            let partition = Int.random(in: 0..<CrashChecker.partitions, using: &randomness)
            let key = "k\(Int.random(in: 0..<6, using: &randomness))"
            switch Int.random(in: 0..<20, using: &randomness) {
            case 0..<6: return .put(partition, key)
            case 6: return .purge(partition, key)
            case 7: return randomness.oneIn(3) ? .wipe(partition) : .save(partition)
            case 8: return randomness.oneIn(4) ? .restart : .node
            case 9, 10, 11: return .commit
            case 12: return .tick
            case 13, 14: return randomness.oneIn(slowness / 2) ? .journal : .put(partition, key)
            case 15, 16: return .flusher
            case 17: return .event
            case 18: return .events
            default: return randomness.oneIn(slowness) ? .settle : .journal
            }
        }
    }
}
