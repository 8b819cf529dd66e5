/// What to measure, and how.
package struct LoadPlan: Sendable {
    /// `host:port` of every server that connections are spread over.
    package var endpoints: [LoadEndpoint] = []
    package var target = LoadTarget.kv
    package var mix = LoadMix.presets[0]
    package var connections = 64
    package var threads = 1
    package var records = 100_000
    package var valueBytes = 100
    /// Operations a second in all, at times fixed beforehand; `nil`: every connection sends when it has its answer.
    package var rate: Int?
    package var warmUpSeconds = 3
    package var seconds = 10
    package var timeoutSeconds = 20
    /// Puts all records first.
    package var loads = true
    /// Looks at every answer while measuring, too.
    package var checks = false
    package var seed: UInt64 = 1
    package var prefix = "bench/"

    package init() {}

    /// Every reason why this can't be measured.
    package var problems: [String] {
        var problems: [String] = []
        func demand(_ holds: Bool, _ problem: String) { if !holds { problems.append(problem) } }
        demand(!endpoints.isEmpty, "no server is named")
        demand(1...16_384 ~= connections, "connections: 1 to 16384")
        demand(1...64 ~= threads, "threads: 1 to 64")
        demand(
            // Not multiplied: numbers come from the command line.
            connections / max(1, threads) >= endpoints.count,
            "connections: at least one from every thread to every server, or some would get no load")
        demand(1...100_000_000 ~= records, "records: 1 to 100000000")
        demand(1...(4 << 20) ~= valueBytes, "value bytes: 1 to 4194304")
        demand(rate.map { 1...10_000_000 ~= $0 } ?? true, "rate: 1 to 10000000 operations per second")
        demand(0...3_600 ~= warmUpSeconds, "warm-up: 0 to 3600 seconds")
        demand(1...86_400 ~= seconds, "seconds: 1 to 86400")
        demand(1...600 ~= timeoutSeconds, "timeout: 1 to 600 seconds")
        demand(mix.shares.values.reduce(0, +) == 100, "the shares of a mix make 100 together")
        demand(
            !prefix.isEmpty && prefix.utf8.count <= 64
                && prefix.utf8.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || [0x2D, 0x2F, 0x2E].contains($0) },
            "the prefix of keys: 1 to 64 of a-z, 0-9, '-', '.', '/'")
        for operation in LoadOperation.allCases where mix.shares[operation, default: 0] > 0 {
            demand(target.operations.contains(operation), "\(target.rawValue) has no \(operation.rawValue)")
        }
        return problems
    }
}

/// Whose protocol is spoken.
package enum LoadTarget: String, CaseIterable, Sendable {
    /// This store, over HTTP.
    case kv
    /// etcd 3.4 or newer, over its JSON gateway.
    case etcd
    /// A Redis cluster, over its own protocol; every connection asks for keys that its server holds.
    case redis

    var operations: Set<LoadOperation> {
        switch self {
        case .kv, .etcd: Set(LoadOperation.allCases)
        // It has no ordered keys, and a conditional write takes several commands there.
        case .redis: [.read, .update, .insert]
        }
    }

    /// What an acknowledged write means with the settings that a server comes with.
    package var promise: String {
        switch self {
        case .kv: "a write is answered when a quorum has it synced to disk; reads are linearizable"
        case .etcd: "a write is answered when a quorum has it synced to disk; reads are linearizable"
        case .redis: "a write is answered before another node or the disk has it; reads ask one node only"
        }
    }
}

/// Where a server listens.
package struct LoadEndpoint: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, perhaps as a URL with `http://` before and `/` behind; `nil` when it isn't that.
    package init?(_ text: String) {
        var rest = text[...]
        if rest.hasPrefix("http://") { rest = rest.dropFirst(7) }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]), port > 0
        else { return nil }
        var host = rest[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F }) else { return nil }
        self.init(host: String(host), port: Int(port))
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
