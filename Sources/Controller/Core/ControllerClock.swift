#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Where the controller takes the time from; tests hand in their own.
public struct ControllerClock: Sendable {
    /// Milliseconds since some fixed moment; never goes back.
    public var monotonic: @Sendable () -> Int
    /// Milliseconds since 1970; only for people to read.
    public var wall: @Sendable () -> Int

    public init(monotonic: @escaping @Sendable () -> Int, wall: @escaping @Sendable () -> Int) {
        self.monotonic = monotonic
        self.wall = wall
    }

    /// The clocks of the operating system.
    public static let system = ControllerClock(
        monotonic: { read(CLOCK_MONOTONIC) },
        wall: { read(CLOCK_REALTIME) })

    private static func read(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int(time.tv_sec) * 1000 + Int(time.tv_nsec) / 1_000_000
    }

    /// `2026-01-31T12:34:56.789Z`; the year has four digits up to 9999.
    static func text(ofWall milliseconds: Int) -> String {
        func pad(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let milliseconds = max(0, milliseconds)
        let (days, inDay) = (milliseconds / 86_400_000, milliseconds % 86_400_000)
        // Days to date in the proleptic Gregorian calendar, with years that begin in March.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let seconds = inDay / 1000
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(seconds / 3600, 2)):"
            + "\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2)).\(pad(inDay % 1000, 3))Z"
    }
}
