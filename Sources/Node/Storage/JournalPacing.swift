/// How long the journal's thread lets more entries gather before it writes and syncs.
///
/// With processors to spare the best time is now. Where the thread that hands entries over always runs, or always waits for a
/// processor, a sync for every few entries makes that worse: each is a turn more, here and at those who hear of it. A wait then
/// makes fewer turns of more operations each; what it costs the one who waits is less than the processor's queue cost before.
/// PostgreSQL's `commit_delay` is the same, set by hand. docs/performance.md has both measured.
struct JournalPacing: Sendable {
    /// In microseconds. Longer waits gather no more than the clients have under way.
    static let longestWait = 1_500
    /// Entries in the sync before, from which on more than one client can be waiting.
    static let load: UInt64 = 4
    /// The shares of its time that a thread runs or would run, from which on there is a wait, and the longest.
    static let busy = 0.55...0.75
    /// Between two looks at the times of the thread, in nanoseconds.
    static let interval: UInt64 = 100_000_000

    private var entries: UInt64 = 0
    private var occupied: UInt64 = 0
    private var lookedAt: UInt64 = 0
    /// The share of its time that the thread ran, or could have.
    private(set) var share = 0.0

    /// A sync of so many entries has ended.
    mutating func synced(entries: UInt64) { self.entries = entries }

    func isDue(at now: UInt64) -> Bool { now >= lookedAt + JournalPacing.interval }

    /// For so long the thread ran or waited for a processor since it began; times in nanoseconds, of any monotonic clock.
    mutating func looked(occupied: UInt64, at now: UInt64) {
        if lookedAt > 0, now > lookedAt, occupied >= self.occupied {
            share = min(1, Double(occupied - self.occupied) / Double(now - lookedAt))
        }
        self.occupied = occupied
        lookedAt = now
    }

    /// How long the next sync is to wait, in microseconds.
    var wait: Int {
        guard entries >= JournalPacing.load else { return 0 }
        let busy = JournalPacing.busy
        let ramp = (share - busy.lowerBound) / (busy.upperBound - busy.lowerBound)
        return Int(Double(JournalPacing.longestWait) * min(1, max(0, ramp)))
    }
}
