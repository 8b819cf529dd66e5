/// What ends a page of a listing before its limit of entries.
enum PageBounds {
    /// Values of one page in bytes; a longer one has a page of its own.
    static let valueBytes = 4 << 20
    /// Entries looked at for one page, deleted and expired ones included: bounds how long a page keeps the engine.
    static let entriesLookedAt = 4_096
    /// Damaged records that one page passes over: a leader asks all members for each of them.
    static let damagedRecords = 64

    /// How many of the values with these lengths one page takes: at least one, if there is any.
    static func fitting(_ lengths: some Sequence<Int>) -> Int {
        var (count, bytes) = (0, 0)
        for length in lengths {
            bytes += length
            guard bytes <= valueBytes || count == 0 else { break }
            count += 1
        }
        return count
    }
}
