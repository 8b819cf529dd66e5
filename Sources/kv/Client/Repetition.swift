/// Asks again, for a while, what may be answered in a moment.
struct Repetition: Sendable {
    private static let interval = Duration.milliseconds(500)

    /// No attempt is begun after it, counted from the first one.
    let limit: Duration
    let now: @Sendable () -> ContinuousClock.Instant
    let pause: @Sendable (Duration) async throws -> Void

    init(
        for limit: Duration, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.limit = limit
        self.now = now
        self.pause = pause
    }

    /// - Parameters:
    ///   - explanation: what is said when the time is over, made of the last failure's message.
    ///   - ask: one attempt; a failure that may pass is no end.
    /// - Throws: what `ask` throws that won't pass, as it is; the last failure, explained, with its own code; what `pause`
    ///   throws.
    func run<Answer>(
        explanation: (_ last: String) -> String, _ ask: () async throws -> Answer
    ) async throws -> Answer {
        let deadline = now() + limit
        while true {
            do {
                return try await ask()
            } catch let failure as CommandFailure where failure.mayPass {
                guard now() + Repetition.interval <= deadline else {
                    throw CommandFailure(failure.code, explanation(failure.message), mayPass: true)
                }
            }
            try await pause(Repetition.interval)
        }
    }
}
