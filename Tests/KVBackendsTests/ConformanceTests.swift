import KVConformance
import KVProtocols
import Testing

@Suite struct ConformanceTests {
    @Test("every backend passes every case", arguments: Engine.all, ConformanceSuite.cases)
    func conformance(engine: Engine, test: ConformanceCase) throws {
        // An engine whose checksums cover many records may lose others too: see docs/plugins.md.
        guard engine.isolatesDamage || test.need != .damage else { return }
        let worker = try #require(ConformanceWorker.forTests, "the worker was not built")
        let outcome = try engine.suite(worker: worker).run(test)
        guard engine.factory.type != "memory" else { return }
        if test.need == .time {
            #expect(outcome != .passed)
        } else if case .skipped(let why) = outcome, why.contains("ptrace") {
            withKnownIssue("a container may forbid tracing", isIntermittent: true) { Issue.record("\(why)") }
        } else if case .skipped(let why) = outcome, engine.library != nil, why.contains("makes no call") {
            // One that never removes a file, say, can't be kept from it.
        } else {
            #expect(outcome == .passed)
        }
    }

    @Test("random histories from more seeds pass", arguments: Engine.all, [11, 12, 13] as [UInt64])
    func seeds(engine: Engine, seed: UInt64) throws {
        let suite = try engine.suite(seed: seed)
        for test in ConformanceSuite.cases where test.name.hasPrefix("a random history") { try suite.run(test) }
    }

    @Test("names of cases are unique")
    func names() {
        #expect(Set(ConformanceSuite.cases.map(\.name)).count == ConformanceSuite.cases.count)
    }

    @Test("all backends give the same answers to the same history", arguments: [1, 2, 3] as [UInt64])
    func comparison(seed: UInt64) throws {
        let folders = try Engine.all.map { _ in try TestFolder() }
        var backends = try zip(Engine.all, folders).map { try $0.open($1) }
        var history = RandomHistory(seed: seed, partitions: ConformanceSuite.partitions)
        for round in 1...40 {
            let batch = history.nextBatch()
            for backend in backends { try backend.apply(batch) }
            if round % 8 == 0 {
                for (index, engine) in Engine.all.enumerated() where backends[index].capabilities.durable {
                    try backends[index].close()
                    backends[index] = try engine.open(folders[index])
                }
            }
            let partition = PartitionID(UInt16(history.choice(below: ConformanceSuite.partitions)))
            let request = ScanRequest(
                partition: partition,
                after: history.choice(below: 2) == 0 ? history.keys[history.choice(below: 50)] : nil,
                prefix: history.choice(below: 2) == 0 ? Array("key".utf8) : [], limit: 1 + history.choice(below: 20),
                values: history.choice(below: 2) == 0)
            let pages = try backends.map { try $0.scan(request) }
            let counts = try backends.map { try $0.statistics().keys }
            for index in 1..<backends.count {
                #expect(pages[index] == pages[0], "seed \(seed): \(Engine.all[index].factory.type) scans differently")
                #expect(
                    counts[index] == counts[0], "seed \(seed): \(Engine.all[index].factory.type) counts differently")
            }
        }
        for backend in backends { try backend.close() }
    }

    @Test("all backends tell the same versions and metadata after the same history", arguments: [4, 5] as [UInt64])
    func points(seed: UInt64) throws {
        let folders = try Engine.all.map { _ in try TestFolder() }
        let backends = try zip(Engine.all, folders).map { try $0.open($1) }
        var history = RandomHistory(seed: seed, partitions: ConformanceSuite.partitions)
        for _ in 0..<30 {
            let batch = history.nextBatch()
            for backend in backends { try backend.apply(batch) }
            for (backend, engine) in zip(backends, Engine.all) {
                for key in history.keys {
                    let wanted = history.records[key]
                    #expect(
                        try backend.version(key.partition, key) == wanted?.version, "seed \(seed): \(engine) \(key)")
                    #expect(try backend.read(key.partition, key) == wanted, "seed \(seed): \(engine) \(key)")
                }
                for number in 0..<3 {
                    let scope = MetadataScope.partition(PartitionID(UInt16(number)))
                    let name = "name_\(number)"
                    #expect(
                        try backend.metadata(scope, name) == history.metadata[scope]?[name], "seed \(seed): \(engine)")
                }
            }
        }
        for backend in backends { try backend.close() }
    }

    @Test("the suite catches an engine that forgets, mixes up or invents")
    func brokenEngines() throws {
        for fault in FaultyBackend.Fault.allCases {
            let factory = BackendFactory(type: "faulty", summary: "") { context throws(StorageError) in
                FaultyBackend(fault, context)
            }
            let isNoticed = ConformanceSuite.cases.contains { test in
                do {
                    try ConformanceSuite(factory).run(test)
                    return false
                } catch {
                    return true
                }
            }
            #expect(isNoticed, "no case notices the fault \(fault)")
        }
    }
}
