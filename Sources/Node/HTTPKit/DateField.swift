internal import HTTPTypes
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// The `Date` field, written anew once a second.
final class DateField: Sendable {
    private struct Cached {
        var second: time_t = 0
        var text = ""
        var lines: [UInt8] = []
    }

    private let cached = Mutex(Cached())

    var value: String { current.text }

    /// The lines that are the same in all answers of a second: the date and the security fields.
    var lines: [UInt8] { current.lines }

    private var current: Cached {
        let now = time(nil)
        return cached.withLock { cached in
            if cached.second != now {
                let text = DateField.text(now)
                let security = HTTPField.security.map { "\($0.name.rawName): \($0.value)\r\n" }.joined()
                cached = Cached(second: now, text: text, lines: Array("\(security)Date: \(text)\r\n".utf8))
            }
            return cached
        }
    }

    /// As RFC 9110 wants it: `Sun, 06 Nov 1994 08:49:37 GMT`. Names are our own, free of the process's locale.
    static func text(_ second: time_t) -> String {
        var second = second
        var parts = tm()
        gmtime_r(&second, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
            + "\(parts.tm_year + 1900) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
    }
}

/// Milliseconds since 1970 on the wall clock; judges expiry only.
package func wallMilliseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(clamping: time.tv_sec) * 1_000 + UInt64(clamping: time.tv_nsec) / 1_000_000
}
