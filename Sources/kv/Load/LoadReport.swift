package import Foundation
import KVBackendBench

/// A result for people and for programs.
package struct LoadReport {
    let result: LoadResult

    package init(_ result: LoadResult) { self.result = result }

    private var plan: LoadPlan { result.plan }
    private var tally: LoadTally { result.tally }

    /// Name, value: what was measured.
    var facts: [(String, String)] {
        let mix = LoadOperation.allCases.compactMap { operation in
            plan.mix.shares[operation].map { "\($0) % \(operation.rawValue)" }
        }
        var facts = [
            ("target", "\(plan.target.rawValue): \(plan.endpoints.map(\.description).joined(separator: " "))"),
            ("durability", plan.target.promise + ", unless it is configured otherwise"),
            ("mix", "\(plan.mix.name): \(mix.joined(separator: ", ")), \(plan.mix.distribution.rawValue)"),
            ("records", "\(plan.records), values of \(plan.valueBytes) bytes"),
            ("connections", "\(plan.connections), from \(plan.threads) thread(s)"),
            (
                "load",
                plan.rate.map { "open: \($0) a second at fixed times; latency counts from when each was due" }
                    ?? "closed: each connection sends when it has its answer"
            ),
            ("measured", "\(plan.seconds) s after \(plan.warmUpSeconds) s of warming up"),
        ]
        if let loading = result.loading {
            let rate = Double(loading.done) / max(result.loadingSeconds, 1e-9)
            facts.append(("loaded", "\(loading.done) records, \(BenchFormat.figure(rate)) a second"))
        }
        facts.append(
            ("generator", "\(BenchFormat.figure(result.generatorMicroseconds)) µs of processor time an operation"))
        return facts
    }

    /// What a reader must know before believing the figures; empty is good.
    var doubts: [String] {
        var doubts = tally.failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { name, count in
            "\(count) operations failed: \(name)"
        }
        if tally.conflicts > 0 { doubts.append("\(tally.conflicts) conditional writes met a newer version") }
        if tally.missing > 0 { doubts.append("\(tally.missing) operations met no record") }
        if tally.neverSent > 0 {
            doubts.append("\(tally.neverSent) operations were due and not sent until the end: no connection was free")
        }
        let ends = (tally.sent.min() ?? 0, tally.sent.max() ?? 0)
        if ends.0 * 2 < ends.1 {
            doubts.append("servers got between \(ends.0) and \(ends.1) operations")
        }
        return doubts
    }

    static let columns = ["operation", "count", "per second"] + LoadResult.percentiles.map { $0.name + " ms" }

    var rows: [[String]] {
        let kinds = LoadOperation.allCases.filter { tally.latency($0).count > 0 }
        var rows = kinds.map { row($0.rawValue, tally.latency($0)) }
        if kinds.count != 1 { rows.append(row("all", tally.latency)) }
        return rows
    }

    private func row(_ name: String, _ latency: LatencyHistogram) -> [String] {
        // Answers after the end have a latency and count for no rate.
        let share = Double(latency.count) / Double(max(1, tally.latency.count))
        return [name, String(latency.count), BenchFormat.figure(result.perSecond * share)]
            + LoadResult.percentiles.map { percentile in
                result.percentile(percentile.share, latency).map { BenchFormat.figure(Double($0) / 1e6) }
                    ?? (tally.neverSent > 0 ? "not sent" : "none")
            }
    }

    package var text: String {
        var lines = facts.map { $0.0.padding(toLength: 13, withPad: " ", startingAt: 0) + $0.1 }
        lines += [""] + BenchFormat.aligned([LoadReport.columns] + rows) + doubts.map { "! \($0)" }
        return lines.joined(separator: "\n") + "\n"
    }

    /// One document; durations in nanoseconds.
    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return try encoder.encode(Document(result))
    }

    private struct Document: Encodable {
        struct Operation: Encodable {
            var count: UInt64
            var latencyNs: [String: UInt64?]
        }

        var target: String
        var servers: [String]
        var mix: String
        var distribution: String
        var connections: Int
        var threads: Int
        var records: Int
        var valueBytes: Int
        var rate: Int?
        var seed: UInt64
        var prefix: String
        var checks: Bool
        var warmUpSeconds: Int
        var timeoutSeconds: Int
        var seconds: Int
        var done: Int
        var perSecond: Double
        var conflicts: Int
        var missing: Int
        var neverSent: Int
        var failed: [String: Int]
        var sent: [Int]
        var eachSecond: [Int]
        var loadedPerSecond: Double?
        var generatorMicroseconds: Double
        /// Operations that were answered; the percentiles are of these and of those never sent.
        var count: UInt64
        /// `null` where a percentile falls among operations that were never sent.
        var latencyNs: [String: UInt64?]
        var operations: [String: Operation]

        init(_ result: LoadResult) {
            let (plan, tally) = (result.plan, result.tally)
            target = plan.target.rawValue
            servers = plan.endpoints.map(\.description)
            mix = plan.mix.name
            distribution = plan.mix.distribution.rawValue
            (connections, threads, records) = (plan.connections, plan.threads, plan.records)
            (valueBytes, rate, seconds) = (plan.valueBytes, plan.rate, plan.seconds)
            (seed, prefix, checks) = (plan.seed, plan.prefix, plan.checks)
            (warmUpSeconds, timeoutSeconds) = (plan.warmUpSeconds, plan.timeoutSeconds)
            (done, perSecond) = (tally.done, result.perSecond)
            (conflicts, missing, neverSent) = (tally.conflicts, tally.missing, tally.neverSent)
            (failed, sent, eachSecond) = (tally.failures, tally.sent, tally.seconds)
            loadedPerSecond = result.loading.map { Double($0.done) / max(result.loadingSeconds, 1e-9) }
            generatorMicroseconds = result.generatorMicroseconds
            let latencies = { (latency: LatencyHistogram) in
                Dictionary(
                    uniqueKeysWithValues: LoadResult.percentiles.map { ($0.name, result.percentile($0.share, latency)) }
                )
            }
            count = tally.latency.count
            latencyNs = latencies(tally.latency)
            let kinds = LoadOperation.allCases.filter { tally.latency($0).count > 0 }
            operations = Dictionary(
                uniqueKeysWithValues: kinds.map { kind in
                    let latency = tally.latency(kind)
                    return (kind.rawValue, Operation(count: latency.count, latencyNs: latencies(latency)))
                })
        }
    }
}
