internal import Synchronization

/// Names for requests that came without one: a random part per process and a running number.
final class RequestIDs: Sendable {
    private let prefix: [UInt8]
    private let next = Atomic<UInt64>(1)

    init() {
        prefix = Array((String(UInt64.random(in: .min ... .max), radix: 36) + "-").utf8)
    }

    func make() -> String {
        var number = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: prefix.count + 13) { bytes in
            var place = bytes.count
            repeat {
                place -= 1
                let digit = UInt8(truncatingIfNeeded: number % 36)
                bytes[place] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                number /= 36
            } while number > 0
            for byte in prefix.reversed() {
                place -= 1
                bytes[place] = byte
            }
            return String(decoding: UnsafeBufferPointer(rebasing: bytes[place...]), as: UTF8.self)
        }
    }

    /// 1 to 64 characters that need no care in logs, headers or documents.
    static func isValid(_ text: String) -> Bool {
        guard (1...64).contains(text.utf8.count) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}
