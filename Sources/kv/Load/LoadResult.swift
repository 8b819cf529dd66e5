import KVBackendBench

/// What a run came to.
package struct LoadResult: Sendable {
    package var plan: LoadPlan
    package var loading: LoadTally?
    package var loadingSeconds = 0.0
    package var tally: LoadTally
    /// Processor time of the generator while measuring.
    package var generatorSeconds = 0.0

    init(plan: LoadPlan) {
        self.plan = plan
        tally = LoadTally(servers: plan.endpoints.count)
    }

    package var perSecond: Double { Double(tally.done) / Double(plan.seconds) }

    /// Why nobody should use the figures; `nil` is good.
    package var fault: String? {
        if tally.done == 0 { return "no operation was done" }
        return tally.wrong > 0 ? "\(tally.wrong) answers were wrong" : nil
    }

    /// What at least the share of operations did not exceed, in nanoseconds, those included that were due and never sent:
    /// they would have taken longer than all that were.
    /// - Parameter latency: of the run, or of one kind of operation in it.
    /// - Returns: `nil` when it falls among those never sent, or when there were none.
    func percentile(_ share: Double, _ latency: LatencyHistogram) -> UInt64? {
        let answered = Double(latency.count)
        guard latency.count > 0 else { return nil }
        // Nobody knows of what kind they would have been: as often of each as those that were sent.
        let all = answered * (1 + Double(tally.neverSent) / Double(tally.latency.count))
        let place = max(1, (share * all).rounded(.up))
        // In the middle of its step, where no rounding takes it to the next.
        return place <= answered ? latency.percentile((place - 0.5) / answered) : nil
    }

    /// Microseconds of the generator's processor time for an operation.
    package var generatorMicroseconds: Double {
        let count = tally.latency.countAsInt + tally.failed
        return count > 0 ? generatorSeconds * 1e6 / Double(count) : 0
    }

    package static let percentiles: [(name: String, share: Double)] = [
        ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1),
    ]
}

extension LatencyHistogram {
    var countAsInt: Int { Int(clamping: count) }
}
