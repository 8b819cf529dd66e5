import Testing

/// Asks again until the answer is yes.
/// - Parameter body: what it throws counts as no, and is told when time runs out.
func eventually(
    _ what: Comment, within limit: Duration = .seconds(60), every interval: Duration = .milliseconds(50),
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    var last = "no"
    while ContinuousClock.now < deadline {
        do {
            if try await body() { return }
            last = "no"
        } catch {
            last = "\(error)"
        }
        try await Task.sleep(for: interval)
    }
    try #require(Bool(false), "not within \(limit): \(what) (\(last))", sourceLocation: sourceLocation)
}

/// Lets two clusters run at a time: more of them would only wait for each other's processor.
actor ClusterSlots {
    static let shared = ClusterSlots()

    private var free = 2
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func giveBack() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
