/// How long to wait before a process is started again: twice as long each time, from the start again after it ran
/// for a while.
struct BackOff {
    static let shortest = Duration.milliseconds(250)
    static let longest = Duration.seconds(10)
    /// A process that ran for so long was well.
    static let well = Duration.seconds(30)

    private var next = BackOff.shortest

    /// - Parameter ran: how long the process had run.
    mutating func delay(afterRunning ran: Duration) -> Duration {
        if ran >= BackOff.well { next = BackOff.shortest }
        defer { next = min(next * 2, BackOff.longest) }
        return next
    }
}
