internal import KVProtocols

/// What answers are put together from: plain appending, as each copy into a buffer of the network costs several times as much.
extension [UInt8] {
    mutating func append(_ text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(text: String) {
        var text = text
        text.withUTF8 { append(contentsOf: $0) }
    }

    mutating func append(decimal number: UInt64) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var rest = number
            var place = digits.count
            repeat {
                place -= 1
                digits[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            append(contentsOf: UnsafeBufferPointer(rebasing: digits[place...]))
        }
    }

    /// The version's text form.
    mutating func append(_ version: Version) {
        append(decimal: version.ballot.counter)
        append(UInt8(ascii: "."))
        append(decimal: UInt64(version.ballot.node.rawValue))
        append(UInt8(ascii: "."))
        append(decimal: version.sequence)
    }
}
