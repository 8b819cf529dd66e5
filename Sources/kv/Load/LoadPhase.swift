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

    /// Which second of the phase this is; `nil` after the end.
    func second(_ now: UInt64) -> Int? { now < end ? Int((now - min(now, begin)) / 1_000_000_000) : nil }
}
