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

    mutating func send(_ server: Int) { sent[server] += 1 }

    /// - Parameters:
    ///   - second: since the phase began; `nil` after its end.
    ///   - latency: in nanoseconds.
    mutating func record(
        _ operation: LoadOperation, _ outcome: LoadAnswer.Outcome, latency: UInt64, second: Int?
    ) {
        switch outcome {
        case .failed(let name): return failures[name, default: 0] += 1
        case .wrong(let name): return failures["wrong: " + name, default: 0] += 1
        case .conflict: conflicts += 1
        case .missing: missing += 1
        case .done: break
        }
        latencies[operation.place].record(latency)
        guard let second else { return }
        done += 1
        while seconds.count <= second { seconds.append(0) }
        seconds[second] += 1
    }

    mutating func add(_ other: LoadTally) {
        for place in latencies.indices { latencies[place].add(other.latencies[place]) }
        done += other.done
        conflicts += other.conflicts
        missing += other.missing
        failures.merge(other.failures, uniquingKeysWith: +)
        while seconds.count < other.seconds.count { seconds.append(0) }
        for (second, count) in other.seconds.enumerated() { seconds[second] += count }
        for (server, count) in other.sent.enumerated() { sent[server] += count }
        neverSent += other.neverSent
    }
}
