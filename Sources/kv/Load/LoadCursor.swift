import KVProtocols

/// Hands out numbers of records that nobody else hands out, ascending: every `step`th from `next` on, of those that one
/// server holds where servers hold parts.
struct LoadCursor: Sendable {
    private(set) var next: Int
    let step: Int
    let end: Int

    /// - Returns: `nil` when none is left.
    mutating func take(where isHeld: (Int) -> Bool) -> Int? {
        while next < end {
            let number = next
            next += step
            if isHeld(number) { return number }
        }
        return nil
    }
}

/// Which records a server holds.
struct LoadHoldings: Sendable {
    /// Ranges of slots; `nil`: every server answers for every record.
    let slots: [ClosedRange<UInt16>]?
    let names: LoadNames

    func contains(_ number: Int) -> Bool {
        guard let slots else { return true }
        let slot = LoadHoldings.slot(of: number, names)
        return slots.contains { $0.contains(slot) }
    }

    static func slot(of number: Int, _ names: LoadNames) -> UInt16 {
        Slot(of: Key(unchecked: names.bytes(number))).rawValue
    }
}
