internal import Synchronization

/// Counts answers and times them, per class of route. The classes are given once: no label can grow without bound.
package final class RequestMetrics: Sendable {
    /// Upper bounds of the histogram in microseconds.
    private static let bounds: [UInt64] = [
        250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000,
    ]
    private static let statuses = ["1xx", "2xx", "3xx", "4xx", "5xx"]

    private struct Row {
        var statuses = [UInt64](repeating: 0, count: RequestMetrics.statuses.count)
        var buckets = [UInt64](repeating: 0, count: RequestMetrics.bounds.count + 1)
        var microseconds: UInt64 = 0
    }

    private let routes: [String]
    private let rows: Mutex<[Row]>

    /// `routes` are the labels; `count` takes an index into them.
    package init(routes: [String]) {
        self.routes = routes
        rows = Mutex([Row](repeating: Row(), count: routes.count))
    }

    func count(route: Int, status: Int, microseconds: UInt64) {
        let bucket = RequestMetrics.bounds.firstIndex { microseconds <= $0 } ?? RequestMetrics.bounds.count
        rows.withLock { rows in
            rows[route].statuses[min(max(status / 100, 1), 5) - 1] += 1
            rows[route].buckets[bucket] += 1
            rows[route].microseconds &+= microseconds
        }
    }

    package func write(to text: inout PrometheusText) {
        let rows = rows.withLock { $0 }
        text.family("kv_http_requests_total", "Requests answered, by route and class of status.", "counter")
        for (route, row) in zip(routes, rows) {
            for (status, count) in zip(RequestMetrics.statuses, row.statuses) where count > 0 {
                text.sample("kv_http_requests_total", "route=\"\(route)\",status=\"\(status)\"", count)
            }
        }
        let name = "kv_http_request_duration_seconds"
        text.family(name, "Time from the request's head to the written answer.", "histogram")
        for (route, row) in zip(routes, rows) {
            var total: UInt64 = 0
            for (index, count) in row.buckets.enumerated() {
                total += count
                let bound =
                    index < RequestMetrics.bounds.count ? "\(Double(RequestMetrics.bounds[index]) / 1_000_000)" : "+Inf"
                text.sample(name + "_bucket", "route=\"\(route)\",le=\"\(bound)\"", total)
            }
            text.sample(name + "_sum", "route=\"\(route)\"", Double(row.microseconds) / 1_000_000)
            text.sample(name + "_count", "route=\"\(route)\"", total)
        }
    }
}
