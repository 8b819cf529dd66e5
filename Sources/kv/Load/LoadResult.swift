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
