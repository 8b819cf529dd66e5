import KVBackendBench
import NIOCore
import NIOPosix
import Synchronization

/// Puts load on servers and counts.
package enum LoadRun {
    package struct Progress: Sendable {
        package var stage: String
        package var done: Int
        /// 0 when time ends the stage.
        package var total: Int
    }

    /// Loads, warms up and measures as the plan says.
    ///
    /// Connections and their threads are opened for the run and closed after it; connections that break are opened anew,
    /// what was under way on them counts as failed. Warming up looks at every answer.
    /// - Throws: `LoadError` when a server can't be reached at the start, when a record could not be loaded, or when an
    ///   answer of warming up was wrong or failed other than with 503: then nothing that follows would mean anything.
    package static func perform(
        _ plan: LoadPlan, progress: @escaping @Sendable (Progress) -> Void
    ) async throws -> LoadResult {
        if !plan.problems.isEmpty { throw LoadError(plan.problems.joined(separator: "; ")) }
        switch plan.target {
        case .kv:
            let dialects = plan.endpoints.map { KVDialect(plan, endpoint: $0) }
            return try await perform(plan, nil, progress) { dialects[$0] }
        case .etcd:
            let dialects = plan.endpoints.map { EtcdDialect(plan, endpoint: $0) }
            return try await perform(plan, nil, progress) { dialects[$0] }
        case .redis:
            let cluster = try await RedisCluster.look(plan.endpoints)
            var plan = plan
            plan.endpoints = cluster.map(\.endpoint)
            if !plan.problems.isEmpty {
                throw LoadError("the cluster has \(cluster.count) masters: " + plan.problems.joined(separator: "; "))
            }
            let dialect = RedisDialect(plan)
            return try await perform(plan, cluster.map(\.slots), progress) { _ in dialect }
        }
    }

    private static func perform<Dialect: LoadDialect>(
        _ plan: LoadPlan, _ slots: [[ClosedRange<UInt16>]]?, _ progress: @escaping @Sendable (Progress) -> Void,
        dialect: @escaping @Sendable (Int) -> Dialect
    ) async throws -> LoadResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: plan.threads)
        let names = LoadNames(prefix: plan.prefix)
        let holdings = plan.endpoints.indices.map { LoadHoldings(slots: slots?[$0], names: names) }
        for (endpoint, holding) in zip(plan.endpoints, holdings)
        where !(0..<plan.records).contains(where: holding.contains) {
            throw LoadError("\(endpoint) holds none of the \(plan.records) record(s): it takes more of them")
        }
        let stop = LoadStop()
        let ranks = LoadChooser.ranks(plan.mix.distribution, records: plan.records)
        let workers = group.makeIterator().enumerated().map { place, loop in
            LoadWorker(
                plan, place: place, loop: loop, holdings: holdings, ranks: ranks, stop: stop, makeDialect: dialect)
        }
        let result: Result<LoadResult, any Error>
        do {
            try await connect(workers, plan)
            result = .success(try await phases(workers, plan, progress))
        } catch {
            result = .failure(error)
        }
        for worker in workers { worker.loop.execute { worker.closeAll() } }
        try await group.shutdownGracefully()
        return try result.get()
    }

    private static func connect<Dialect>(_ workers: [LoadWorker<Dialect>], _ plan: LoadPlan) async throws {
        do {
            for (place, worker) in workers.enumerated() {
                let numbers = Array(
                    plan.connections * place / workers.count..<plan.connections * (place + 1) / workers.count)
                try await worker.loop.flatSubmit { worker.connect(numbers) }.get()
            }
        } catch {
            let servers = plan.endpoints.map(\.description).joined(separator: ", ")
            throw LoadError("not all of \(servers) can be reached with \(plan.connections) connections: \(error)")
        }
    }

    private static func phases<Dialect>(
        _ workers: [LoadWorker<Dialect>], _ plan: LoadPlan, _ progress: @escaping @Sendable (Progress) -> Void
    ) async throws -> LoadResult {
        var result = LoadResult(plan: plan)
        if plan.loads {
            let (tally, seconds) = try await watch(workers, "loading", plan.records, progress) {
                LoadPhase(kind: .loading, begin: $0, end: .max, isChecked: true)
            }
            // A record that is missing would be missed by everything that follows.
            try demand(tally, "loading", tolerating: [])
            result.loading = tally
            result.loadingSeconds = seconds
        }
        func phase(_ seconds: Int, isChecked: Bool) -> @Sendable (UInt64) -> LoadPhase {
            let interval = plan.rate.map { Double(workers.count) * 1e9 / Double($0) }
            return { now in
                LoadPhase(
                    kind: .mix, begin: now, end: now + UInt64(seconds) * 1_000_000_000, isChecked: isChecked,
                    interval: interval)
            }
        }
        if plan.warmUpSeconds > 0 {
            let warmUp = phase(plan.warmUpSeconds, isChecked: true)
            // A server that is overloaded refuses: that is for the measurement to tell.
            let tally = try await watch(workers, "warming up", 0, progress, warmUp).0
            try demand(tally, "warming up", tolerating: ["status 503"])
        }
        let before = Machine.processTime()
        (result.tally, _) = try await watch(
            workers, "measuring", 0, progress, phase(plan.seconds, isChecked: plan.checks))
        result.tally.fill(seconds: plan.seconds)
        result.generatorSeconds = Double(Machine.processTime() - before) / 1e9
        return result
    }

    private static func watch<Dialect>(
        _ workers: [LoadWorker<Dialect>], _ stage: String, _ total: Int,
        _ progress: @escaping @Sendable (Progress) -> Void, _ makePhase: @Sendable (UInt64) -> LoadPhase
    ) async throws -> (LoadTally, Double) {
        let already = workers.reduce(0) { $0 + $1.finished.load(ordering: .relaxed) }
        let reporter = Task {
            while !Task.isCancelled {
                let done = workers.reduce(0) { $0 + $1.finished.load(ordering: .relaxed) } - already
                progress(Progress(stage: stage, done: done, total: total))
                try await Task.sleep(for: .milliseconds(200))
            }
        }
        let begin = Machine.now()
        let futures = workers.enumerated().map { place, worker in
            var phase = makePhase(begin)
            // Workers take turns, so that together they send at even times.
            phase.offset = (phase.interval ?? 0) * Double(place) / Double(workers.count)
            return worker.loop.flatSubmit { [phase] in worker.run(phase) }
        }
        var all = LoadTally(servers: workers.first?.servers ?? 0)
        let result: Result<(LoadTally, Double), any Error>
        do {
            for future in futures { all.add(try await future.get()) }
            result = .success((all, Double(Machine.now() - begin) / 1e9))
        } catch {
            result = .failure(error)
        }
        // It must not report after its stage.
        reporter.cancel()
        _ = await reporter.result
        return try result.get()
    }

    private static func demand(
        _ tally: LoadTally, _ stage: String, tolerating names: Set<String>
    ) throws(LoadError) {
        let serious = tally.failures.filter { !names.contains($0.key) }
        if let (name, count) = serious.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }) {
            throw LoadError(
                "\(stage): \(count) of \(tally.failed + tally.latency.countAsInt) operations failed with: \(name); "
                    + "what follows would measure errors")
        }
    }
}

package struct LoadError: Error, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}
