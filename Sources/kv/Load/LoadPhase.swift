/// What workers do until they are told otherwise.
struct LoadPhase: Sendable {
    enum Kind: Sendable {
        /// Puts every record once, then is over.
        case loading
        /// The plan's mix until the time is over.
        case mix
    }

    var kind: Kind
    /// Of the machine's monotonic clock, in nanoseconds.
    var begin: UInt64
    /// Nothing is sent from here on; `.max` for loading.
    var end: UInt64
    var isChecked: Bool
    /// Nanoseconds from one operation of a worker to its next; `nil`: each connection sends when it has its answer.
    var interval: Double?
    /// Of this worker's first operation, in nanoseconds after the beginning.
    var offset = 0.0

    /// When a worker's operation is due.
    func due(_ number: Int) -> UInt64 {
        begin + UInt64((offset + Double(number) * (interval ?? 0)).rounded())
    }

    /// How many operations of a worker are due before the end, where times are fixed.
    var count: Int {
        guard let interval else { return 0 }
        // The division may miss by one what `due` rounds.
        var count = max(0, Int((Double(end - begin) - offset) / interval))
        while due(count) < end { count += 1 }
        while count > 0, due(count - 1) >= end { count -= 1 }
        return count
    }

    /// Which second of the phase this is; `nil` after the end.
    func second(_ now: UInt64) -> Int? { now < end ? Int((now - min(now, begin)) / 1_000_000_000) : nil }
}
