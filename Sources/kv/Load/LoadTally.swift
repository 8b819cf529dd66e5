package import KVBackendBench

/// What came of the operations of one phase.
package struct LoadTally: Sendable {
    /// Time from when an operation was due until its answer, failures left out, by place in `LoadOperation.allCases`.
    /// An operation that was answered after the phase's end is in it, so that long ones are not forgotten.
    package private(set) var latencies = [LatencyHistogram](
        repeating: LatencyHistogram(), count: LoadOperation.allCases.count)
    /// Successes within the phase.
    package private(set) var done = 0
    /// Of conditional writes that somebody else was faster than; they count as done, as does what is missing.
    package private(set) var conflicts = 0
    package private(set) var missing = 0
    /// By name, operations that did not succeed.
    package private(set) var failures: [String: Int] = [:]
    /// Successes in each second of the phase.
    package private(set) var seconds: [Int] = []
    /// Operations sent, by server.
    package private(set) var sent: [Int]
    /// Operations that were due within the phase and had no free connection until its end.
    package internal(set) var neverSent = 0

    init(servers: Int) { sent = [Int](repeating: 0, count: servers) }

    package var failed: Int { failures.values.reduce(0, +) }

    package func latency(_ operation: LoadOperation) -> LatencyHistogram { latencies[operation.place] }

    package var latency: LatencyHistogram {
        var all = LatencyHistogram()
        for one in latencies { all.add(one) }
        return all
    }

    /// Answers that said success and were not what was asked for.
    package var wrong: Int { failures.filter { $0.key.hasPrefix(LoadTally.wrong) }.values.reduce(0, +) }

    mutating func send(_ server: Int) { sent[server] += 1 }

    /// - Parameters:
    ///   - second: since the phase began; `nil` after its end.
    ///   - latency: in nanoseconds.
    mutating func record(
        _ operation: LoadOperation, _ outcome: LoadAnswer.Outcome, latency: UInt64, second: Int?
    ) {
        switch outcome {
        case .failed(let name): return fail(name)
        case .wrong(let name): return fail(LoadTally.wrong + name)
        case .conflict: conflicts += 1
        case .missing: missing += 1
        case .done: break
        }
        latencies[operation.place].record(latency)
        guard let second else { return }
        done += 1
        fill(seconds: second + 1)
        seconds[second] += 1
    }

    /// Servers choose the names: neither their number nor their length may grow as these like.
    mutating func fail(_ name: String, count: Int = 1) {
        let short = String(name.prefix(LoadTally.longestName))
        let isKnown = failures[short] != nil || failures.count < LoadTally.names
        failures[isKnown ? short : "other", default: 0] += count
    }

    static let wrong = "wrong: "
    private static let longestName = 80
    /// Not counting `other`.
    private static let names = 64

    /// Seconds at the end in which nothing succeeded count, too.
    mutating func fill(seconds count: Int) {
        while seconds.count < count { seconds.append(0) }
    }

    mutating func add(_ other: LoadTally) {
        for place in latencies.indices { latencies[place].add(other.latencies[place]) }
        done += other.done
        conflicts += other.conflicts
        missing += other.missing
        for (name, count) in other.failures.sorted(by: { $0.key < $1.key }) { fail(name, count: count) }
        fill(seconds: other.seconds.count)
        for (second, count) in other.seconds.enumerated() { seconds[second] += count }
        for (server, count) in other.sent.enumerated() { sent[server] += count }
        neverSent += other.neverSent
    }
}
