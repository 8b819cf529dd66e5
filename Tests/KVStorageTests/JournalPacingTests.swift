import Testing

@testable import KVStorage

@Suite struct JournalPacingTests {
    private static let second: UInt64 = 1_000_000_000

    /// After a second in which the thread ran, or could have, for this share.
    private func pacing(share: Double, entries: UInt64) -> JournalPacing {
        var pacing = JournalPacing()
        pacing.looked(occupied: 5 * Self.second, at: 100 * Self.second)
        pacing.looked(occupied: 5 * Self.second + UInt64(share * Double(Self.second)), at: 101 * Self.second)
        pacing.synced(entries: entries)
        return pacing
    }

    @Test(arguments: [(0, 0), (0.5, 0), (0.55, 0), (0.65, 750), (0.75, 1_500), (1, 1_500), (1.2, 1_500)])
    func `the busier the thread the longer entries gather`(share: Double, wait: Int) {
        #expect(abs(pacing(share: share, entries: 20).wait - wait) <= 1)
    }

    @Test func `one client waits for nobody`() {
        #expect(pacing(share: 1, entries: JournalPacing.load - 1).wait == 0)
        #expect(pacing(share: 1, entries: JournalPacing.load).wait == JournalPacing.longestWait)
    }

    @Test func `nothing waits before the thread was looked at twice`() {
        var pacing = JournalPacing()
        pacing.synced(entries: 100)
        #expect(pacing.isDue(at: JournalPacing.interval))
        pacing.looked(occupied: 90 * Self.second, at: 100 * Self.second)
        #expect(pacing.wait == 0)
        #expect(!pacing.isDue(at: 100 * Self.second + JournalPacing.interval - 1))
        #expect(pacing.isDue(at: 100 * Self.second + JournalPacing.interval))
    }

    /// Another thread hands over now, which has run for less.
    @Test func `times that go back say nothing`() {
        var pacing = pacing(share: 1, entries: 20)
        pacing.looked(occupied: 0, at: 102 * Self.second)
        #expect(pacing.wait == JournalPacing.longestWait)
        pacing.looked(occupied: 0, at: 103 * Self.second)
        #expect(pacing.wait == 0)
    }

    @Test func `the system's text is read`() {
        #expect(ThreadOccupancy.sum("111576 93148 2\n") == 204_724)
        for text in ["", "\n", "12", "a 1 2", "1 -1 2", "18446744073709551615 1 2"] {
            #expect(ThreadOccupancy.sum(text) == nil, "\(text)")
        }
    }

    #if os(Linux)
    @Test func `a thread that works is occupied`() throws {
        let before = try #require(ThreadOccupancy.nanoseconds())
        let start = ThreadOccupancy.now()
        while ThreadOccupancy.now() < start + 50_000_000 {}
        let after = try #require(ThreadOccupancy.nanoseconds())
        #expect(after > before)
    }
    #endif
}
