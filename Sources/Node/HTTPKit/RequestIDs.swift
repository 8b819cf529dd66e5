internal import Synchronization

/// Names for requests that came without one: a random part per process and a running number.
final class RequestIDs: Sendable {
    private let prefix: String
    private let next = Atomic<UInt64>(1)

    init() {
        prefix = String(UInt64.random(in: .min ... .max), radix: 36) + "-"
    }

    func make() -> String {
        prefix + String(next.wrappingAdd(1, ordering: .relaxed).oldValue, radix: 36)
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
