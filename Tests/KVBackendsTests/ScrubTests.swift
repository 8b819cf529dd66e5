import KVConformance
import KVProtocols
import Synchronization
import Testing

@testable import KVStorage

/// The scrub over every engine.
@Suite struct ScrubTests {
    /// What a scrub reported.
    private final class Findings: Sendable {
        private let events = Mutex<[StorageEvent]>([])

        func append(_ event: StorageEvent) {
            switch event {
            case .scrubbed, .inconsistent: return  // nobody stores digests here
            default: break
            }
            events.withLock { $0.append(event) }
        }

        var isEmpty: Bool { events.withLock(\.isEmpty) }
        /// The keys, or nothing when something else was reported.
        var damaged: [Key]? {
            events.withLock { events in
                let keys = events.compactMap { if case .damaged(_, let key, _) = $0 { key } else { nil } }
                return keys.count == events.count ? keys.sorted() : nil
            }
        }
    }

    private func scrubber(_ backend: any StorageBackend, _ findings: Findings) -> Scrubber {
        Scrubber(
            backend, partitions: ConformanceSuite.partitions, first: 3, seed: 1,
            limits: Scrubber.Limits(bytesPerSecond: 1 << 20, passMilliseconds: 0), isFlushing: { false },
            report: { findings.append($0) })
    }

    private func finishPass(_ scrubber: inout Scrubber, _ now: inout UInt64) {
        let target = scrubber.figures.passes + 1
        while scrubber.figures.passes < target {
            switch scrubber.step(now: now) {
            case .worked: break
            case .wait(let milliseconds): now += milliseconds
            case .ended: return
            }
        }
    }

    @Test(
        "a bit that flipped in a record that nobody reads is found within one pass",
        arguments: Engine.durable.filter(\.isolatesDamage))
    func coldDamage(engine: Engine) throws {
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        var batch: [StorageOperation] = []
        for number in 0..<300 {
            let key = try Key("key\(number)")
            let value = [UInt8]("value \(number) ".utf8) + [UInt8](repeating: 7, count: number * 20)
            batch.append(.put(key.partition, key, record(key, number % 10 == 0 ? nil : value)))
        }
        try backend.apply(batch)
        try backend.close()
        let bad = try [Key("key3"), Key("key299")]
        for key in bad { try flipBit(in: folder.path, key, Array("value \(key) ".replacing("key", with: "").utf8)) }
        let reopened = try engine.open(folder)
        let findings = Findings()
        var scrubber = scrubber(reopened, findings)
        var now: UInt64 = 0
        finishPass(&scrubber, &now)
        #expect(findings.damaged == bad.sorted())
        #expect(scrubber.figures.damaged == 2)
        #expect(scrubber.figures.records == 298)
        #expect(scrubber.figures.unreadable == 0)
        try reopened.close()
        finishPass(&scrubber, &now)
        #expect(scrubber.figures.passes == 1, "it ends with the backend")
    }

    @Test("nothing is found while batches replace, purge and wipe", arguments: Engine.all)
    func concurrentBatches(engine: Engine) throws {
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        let findings = Findings()
        let isOver = Atomic<Bool>(false)
        let failure = Mutex<String?>(nil)
        let keys = try (0..<60).map { try Key("key\($0)") }
        let writer = try WorkerThread {
            var state: UInt64 = 1
            func random(_ bound: UInt64) -> UInt64 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return (state >> 33) % bound
            }
            do {
                for round in 1...50 {
                    var batch: [StorageOperation] = []
                    for _ in 0..<12 {
                        let key = keys[Int(random(UInt64(keys.count)))]
                        switch random(20) {
                        case 0: batch.append(.wipe(key.partition))
                        case 1...4: batch.append(.purge(key.partition, key))
                        case 5...8: batch.append(.put(key.partition, key, record(key, nil, UInt64(round))))
                        default:
                            let value = [UInt8](repeating: UInt8(round), count: Int(random(6_000)))
                            batch.append(.put(key.partition, key, record(key, value, UInt64(round))))
                        }
                    }
                    try backend.apply(batch)
                }
            } catch {
                failure.withLock { $0 = "\(error)" }
            }
            isOver.store(true, ordering: .relaxed)
        }
        var scrubber = scrubber(backend, findings)
        var now: UInt64 = 0
        while !isOver.load(ordering: .relaxed) { finishPass(&scrubber, &now) }
        writer.join()
        #expect(failure.withLock { $0 } == nil)
        #expect(findings.isEmpty, "\(findings.damaged ?? [])")
        #expect(scrubber.figures.passes > 0)
        try backend.close()
    }
}
