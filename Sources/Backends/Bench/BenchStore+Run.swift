import KVProtocols

extension BenchStore {
    func run(_ cell: BenchCell, _ plan: BenchPlan, part: Int) throws(StorageError) -> BenchResult {
        switch cell.mix {
        case .load:
            var next = 0
            return try write(plan) { workload in
                let end = min(next + cell.writers, workload.count)
                defer { next = end }
                return workload.puts(next..<end)
            }
        case .overwrite:
            return try write(plan) { workload in workload.puts(workload.choice(cell.writers)) }
        case .delete:
            // Each number of writers has its own part of the keys.
            let parts = plan.writers.count
            var next = workload.count * part / parts
            let last = workload.count * (part + 1) / parts
            return try write(plan) { workload in
                let end = min(next + cell.writers, last)
                defer { next = end }
                return workload.purges(next..<end)
            }
        case .mixed: return try mix(cell, plan)
        case .read:
            return try readAtOnce(cell, plan) { loop, reader throws(StorageError) in try loop.reads(reader) }
        case .scan:
            return try readAtOnce(cell, plan) { loop, reader throws(StorageError) in try loop.scans(reader) }
        }
    }

    /// Applies batches of `next` until the plan says to stop, or there is none left. Only the calls are measured.
    private func write(
        _ plan: BenchPlan, next: (inout BenchWorkload) -> [StorageOperation]
    ) throws(StorageError) -> BenchResult {
        var result = BenchResult()
        while result.seconds < plan.seconds, result.operations < plan.operations {
            let batch = next(&workload)
            guard !batch.isEmpty else { break }
            try apply(batch, &result)
        }
        return result
    }

    private func apply(_ batch: [StorageOperation], _ result: inout BenchResult) throws(StorageError) {
        let worked = Machine.processorTime()
        let start = Machine.now()
        try target.apply(batch)
        let elapsed = Machine.now() - start
        result.processorSeconds += Double(Machine.processorTime() - worked) / 1e9
        result.seconds += Double(elapsed) / 1e9
        result.operations += batch.count
        // Whoever waits for one of its operations waits for the whole batch.
        result.latency.record(elapsed, count: batch.count)
        for case .put(_, let key, let record) in batch {
            result.bytesStored += UInt64(key.bytes.count + (record.value?.count ?? 0))
        }
    }

    private func mix(_ cell: BenchCell, _ plan: BenchPlan) throws(StorageError) -> BenchResult {
        var result = BenchResult()
        let reader = try target.reader()
        let share = max(1, cell.writers / 2)
        while result.seconds < plan.seconds, result.operations < plan.operations {
            let worked = Machine.processorTime()
            for _ in 0..<share {
                let index = workload.random.below(workload.count)
                let start = Machine.now()
                _ = try reader.read(workload.keys.partitions[index], workload.keys.keys[index])
                let elapsed = Machine.now() - start
                result.seconds += Double(elapsed) / 1e9
                result.latency.record(elapsed)
            }
            result.processorSeconds += Double(Machine.processorTime() - worked) / 1e9
            result.operations += share
            try apply(workload.puts(workload.choice(share)), &result)
        }
        return result
    }

    /// Runs `body` on the cell's number of threads and adds up what they did.
    private func readAtOnce(
        _ cell: BenchCell, _ plan: BenchPlan,
        _ body: @escaping @Sendable (inout ReadLoop, any BenchReader) throws(StorageError) -> Void
    ) throws(StorageError) -> BenchResult {
        let (target, keys) = (target, workload.keys)
        let share = plan.operations / cell.readThreads + (plan.operations % cell.readThreads == 0 ? 0 : 1)
        let results = try BenchThreads.run(cell.readThreads) { number throws(StorageError) in
            var loop = ReadLoop(keys: keys, size: cell.size, seconds: plan.seconds, operations: share, seed: number)
            try body(&loop, target.reader())
            return loop.result
        }
        var sum = BenchResult()
        var rate = 0.0
        for result in results {
            sum.operations += result.operations
            sum.processorSeconds += result.processorSeconds
            sum.latency.add(result.latency)
            rate += result.rate
        }
        sum.seconds = rate > 0 ? Double(sum.operations) / rate : 0
        return sum
    }
}

/// What one thread does that reads.
struct ReadLoop: Sendable {
    /// Reads between two looks at the clock: looking costs as much as a tenth of a fast read.
    private static let run = 256
    /// Reads after each run whose times are taken one by one, for the percentiles.
    private static let singles = 16

    let keys: BenchKeys
    let size: Int
    let seconds: Double
    let operations: Int
    private var random: BenchRandom
    private(set) var result = BenchResult()

    init(keys: BenchKeys, size: Int, seconds: Double, operations: Int, seed: Int) {
        self.keys = keys
        self.size = size
        self.seconds = seconds
        self.operations = operations
        random = BenchRandom(seed: UInt64(seed + 1))
    }

    private var goesOn: Bool { result.seconds < seconds && result.operations < operations }

    mutating func reads(_ reader: any BenchReader) throws(StorageError) {
        while goesOn {
            let count = min(ReadLoop.run, operations - result.operations)
            let worked = Machine.processorTime()
            let start = Machine.now()
            for _ in 0..<count { try read(reader) }
            let elapsed = Machine.now() - start
            result.processorSeconds += Double(Machine.processorTime() - worked) / 1e9
            result.seconds += Double(elapsed) / 1e9
            result.operations += count
            for _ in 0..<ReadLoop.singles {
                let start = Machine.now()
                try read(reader)
                result.latency.record(Machine.now() - start)
            }
        }
    }

    @inline(__always)
    private mutating func read(_ reader: any BenchReader) throws(StorageError) {
        let index = random.below(keys.keys.count)
        let found = try reader.read(keys.partitions[index], keys.keys[index])
        guard found == size else { throw ReadLoop.lost(keys.keys[index]) }
    }

    mutating func scans(_ reader: any BenchReader) throws(StorageError) {
        while goesOn {
            let index = random.below(keys.keys.count)
            let request = ScanRequest(
                partition: keys.partitions[index], after: keys.keys[index], limit: BenchPlan.pageEntries)
            let worked = Machine.processorTime()
            let start = Machine.now()
            let found = try reader.scan(request)
            let elapsed = Machine.now() - start
            result.processorSeconds += Double(Machine.processorTime() - worked) / 1e9
            result.seconds += Double(elapsed) / 1e9
            result.operations += 1
            result.latency.record(elapsed)
            guard found == expected(after: index) else { throw ReadLoop.lost(keys.keys[index]) }
        }
    }

    /// How many entries a page after the key must have.
    private func expected(after index: Int) -> Int {
        var end = index + 1
        while end < keys.keys.count, end - index <= BenchPlan.pageEntries,
            keys.partitions[end] == keys.partitions[index]
        {
            end += 1
        }
        return end - index - 1
    }

    private static func lost(_ key: Key) -> StorageError {
        StorageError(.damaged, "a store lost records while it was measured: at key \(key)")
    }
}
