import KVProtocols

/// Bringing one member up to date, in the buckets in which it may lack something: first what changed last is compared,
/// then the buckets that differ beyond it are walked, in step.
struct Repair: Sendable {
    let member: Int
    let buckets: UInt64
    /// The keys that it was asked for first, until it answers.
    var asked: [Key]?
    /// What it holds of what changed last, until that is compared; the last first.
    var listed: [Recollection.Entry] = []
    /// The buckets in which it differs in other keys than those.
    var walking: UInt64 = 0
    var round: UInt64
    /// The last round whose page was asked for.
    var askedRound: UInt64 = 0
    var after: Key?
    /// It has nothing behind `after` but what this leader sent since: its pages need not be asked for any more.
    var isExhausted = false
    var isWalked = false
    /// Copies that it has not confirmed, and the bytes of their values.
    private(set) var copies: [Key: (version: Version, bytes: Int)] = [:]
    private(set) var bytes = 0
    var sentAt: UInt64
    /// When it began, or the member answered last.
    var workedAt: UInt64

    init(member: Int, buckets: UInt64, asked: [Key], round: UInt64, sentAt: UInt64) {
        self.member = member
        self.buckets = buckets
        self.asked = asked
        self.round = round
        self.sentAt = sentAt
        workedAt = sentAt
    }

    /// Bytes of values in copies that are not confirmed; a single larger value still goes.
    static let largestBytes = 256 << 10

    mutating func sent(_ key: Key, _ record: Record) {
        settled(key)
        let count = record.value?.count ?? 0
        copies[key] = (record.version, count)
        bytes += count
    }

    mutating func settled(_ key: Key) {
        if let copy = copies.removeValue(forKey: key) { bytes -= copy.bytes }
    }

    func isFull(_ window: Int) -> Bool { copies.count >= window || bytes > Repair.largestBytes }

    /// Whether it is time to look at more, so that the member never waits for what is next.
    func isHalfEmpty(_ window: Int) -> Bool { copies.count <= window / 2 && bytes <= Repair.largestBytes / 2 }
}
