/// What a client does.
package enum LoadOperation: String, CaseIterable, Sendable {
    case read
    /// Of a record that exists.
    case update
    /// Of a record that does not.
    case insert
    /// Of up to a hundred neighbours, with their values.
    case scan
    /// A read, then a write on condition that nobody wrote in between.
    case modify

    var place: Int { LoadOperation.allCases.firstIndex(of: self) ?? 0 }
}

/// How often a client does what, and on which records.
package struct LoadMix: Sendable, Hashable {
    package var name: String
    /// Parts of 100; together 100.
    package var shares: [LoadOperation: Int]
    package var distribution: LoadDistribution

    /// The workloads of YCSB (Cooper and others, "Benchmarking Cloud Serving Systems with YCSB", 2010), and the pure ones.
    package static let presets: [LoadMix] = [
        LoadMix(name: "get", shares: [.read: 100], distribution: .uniform),
        LoadMix(name: "put", shares: [.update: 100], distribution: .uniform),
        LoadMix(name: "cas", shares: [.modify: 100], distribution: .uniform),
        LoadMix(name: "a", shares: [.read: 50, .update: 50], distribution: .zipfian),
        LoadMix(name: "b", shares: [.read: 95, .update: 5], distribution: .zipfian),
        LoadMix(name: "c", shares: [.read: 100], distribution: .zipfian),
        LoadMix(name: "d", shares: [.read: 95, .insert: 5], distribution: .latest),
        LoadMix(name: "e", shares: [.scan: 95, .insert: 5], distribution: .zipfian),
        LoadMix(name: "f", shares: [.read: 50, .modify: 50], distribution: .zipfian),
    ]

    package static func preset(_ name: String) -> LoadMix? { presets.first { $0.name == name } }

    /// Which operation a number from 0 to 99 means.
    func operation(_ number: Int) -> LoadOperation {
        var rest = number
        for operation in LoadOperation.allCases {
            rest -= shares[operation] ?? 0
            if rest < 0 { return operation }
        }
        return .read
    }
}
