import KVProtocols

extension ConformanceSuite {
    static let randomCases: [ConformanceCase] = [
        ConformanceCase("a random history leads to the same state as the reference") { store in
            do {
                try play(RandomHistory(seed: store.seed, partitions: partitions), batches: 60, store)
            } catch let failure as ConformanceFailure {
                throw ConformanceFailure("seed \(store.seed): \(failure.message)")
            }
        },
        ConformanceCase("a random history on few keys leads to the same state as the reference") { store in
            do {
                try play(RandomHistory(seed: store.seed &+ 1, partitions: partitions, keyCount: 6), batches: 60, store)
            } catch let failure as ConformanceFailure {
                throw ConformanceFailure("seed \(store.seed): \(failure.message)")
            }
        },
        ConformanceCase("random calls get the answers that a reference in memory gives") { store in
            let rounds = store.suite.isLong ? 200 : 6
            for round in 0..<UInt64(rounds) {
                let seed = store.seed &* 1_000 &+ round
                let script = OperationScript.random(seed: seed, steps: 80, keyCount: round % 2 == 0 ? 6 : 24)
                store.figures.operations += script.count
                if let failure = try script.failure(in: store.suite) {
                    throw store.suite.explain(failure, script, "seed \(seed)")
                }
                if round % 20 == 19 { store.suite.progress("\(round + 1) of \(rounds) scripts") }
            }
        },
    ]

    private static func play(_ start: RandomHistory, batches: Int, _ store: ConformanceStore) throws {
        var history = start
        for number in 1...batches {
            try store.backend.apply(history.nextBatch())
            if store.backend.capabilities.durable, history.choice(below: 12) == 0 { try store.reopen() }
            // A few keys each time, everything now and then: a difference is found near its cause.
            for _ in 0..<5 {
                let key = history.keys[history.choice(below: history.keys.count)]
                try store.expectEqual(store.read(key), history.records[key], "batch \(number): \(key)")
            }
            if number % 10 == 0 { try compare(history, store, "batch \(number)") }
        }
    }

    private static func compare(_ history: RandomHistory, _ store: ConformanceStore, _ moment: String) throws {
        for number in 0..<partitions {
            let partition = PartitionID(UInt16(number))
            let found = try store.scan(ScanRequest(partition: partition, limit: 7))
            let wanted = history.records.filter { $0.key.partition == partition }.sorted { $0.key < $1.key }
            try store.expectEqual(found.map(\.key), wanted.map(\.key), "\(moment): keys of partition \(number)")
            for (entry, expected) in zip(found, wanted) {
                try store.expectEqual(entry.record, expected.value, "\(moment): \(entry.key)")
            }
            try compareMetadata(.partition(partition), history, store, moment)
        }
        try compareMetadata(.node, history, store, moment)
        try store.expectCount(UInt64(history.records.count), "\(moment): keys")
    }

    private static func compareMetadata(
        _ scope: MetadataScope, _ history: RandomHistory, _ store: ConformanceStore, _ moment: String
    ) throws {
        for number in 0..<3 {
            let name = "name_\(number)"
            let found = try store.backend.metadata(scope, name)
            try store.expectEqual(found, history.metadata[scope]?[name], "\(moment): metadata \(name) of \(scope)")
        }
    }
}

extension ConformanceSuite {
    /// Runs a script on a new store; when the engine answers wrongly, with the shortest script found that shows it.
    public func run(_ script: OperationScript) throws(ConformanceFailure) {
        do {
            if let failure = try script.failure(in: self) { throw explain(failure, script, "this script") }
        } catch let failure as ConformanceFailure {
            throw failure
        } catch {
            throw ConformanceFailure("no store can be opened: \(error)")
        }
    }

    /// A script that fails as short as it can be made; it need not fail in the same way.
    public func shrink(_ script: OperationScript) -> OperationScript {
        var shrinker = ScriptShrinker { candidate in
            // A store that can't even be opened says nothing about the script.
            do { return try candidate.failure(in: self) != nil } catch { return false }
        }
        return shrinker.shrink(script)
    }

    fileprivate func explain(
        _ failure: ConformanceFailure, _ script: OperationScript, _ origin: String
    ) -> ConformanceFailure {
        let short = shrink(script)
        var message = failure.message
        do { message = try short.failure(in: self)?.message ?? message } catch { /* The first message stays. */  }
        return ConformanceFailure("\(origin), made short to \(short.count) calls: \(message)\n\(short)")
    }
}
