#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The two clocks of a node. Everything that waits uses the monotonic one; only expiry looks at the wall.
enum Clocks {
    static func monotonicMilliseconds() -> UInt64 { read(CLOCK_MONOTONIC) }
    static func wallMilliseconds() -> UInt64 { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(max(0, time.tv_sec)) * 1_000 + UInt64(max(0, time.tv_nsec)) / 1_000_000
    }
}
