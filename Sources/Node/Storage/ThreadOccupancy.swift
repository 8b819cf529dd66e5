#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// What the system knows of the calling thread's time.
enum ThreadOccupancy {
    /// For how long it ran, or could have run but waited for a processor, since it began, in nanoseconds. `nil` where the system does
    /// not tell; only Linux does (`/proc/thread-self/schedstat`). One small read.
    static func nanoseconds() -> UInt64? {
        let descriptor = Posix.retrying { Int(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) }
        guard descriptor >= 0 else { return nil }
        defer { _ = Posix.close(Int32(descriptor)) }
        let text = withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { bytes -> String? in
            let count = Posix.retrying { read(Int32(descriptor), bytes.baseAddress, bytes.count) }
            guard count > 0 else { return nil }
            return String(decoding: bytes[..<count], as: UTF8.self)
        }
        return text.flatMap(sum)
    }

    /// `running waiting slices`, of which the first two count.
    static func sum(_ text: String) -> UInt64? {
        let numbers = text.split(whereSeparator: \.isWhitespace).prefix(2).compactMap { UInt64($0) }
        guard numbers.count == 2 else { return nil }
        let (sum, overflow) = numbers[0].addingReportingOverflow(numbers[1])
        return overflow ? nil : sum
    }

    /// Of a monotonic clock.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(max(0, time.tv_nsec))
    }
}
