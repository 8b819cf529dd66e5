package import KVProtocols

/// What is done to a store.
package enum BenchMix: String, Sendable, CaseIterable {
    case load, read, overwrite, scan, mixed, delete

    /// One line for the report.
    package var summary: String {
        switch self {
        case .load: "new keys in ascending order, into an empty store"
        case .read: "the record of a key chosen at random"
        case .overwrite: "new values for keys chosen at random, each batch sorted"
        case .scan:
            "pages of up to \(BenchPlan.pageEntries) records with values, from a key chosen at random; an operation is a page"
        case .mixed:
            "half reads, half overwrites, in turns: the reads of a turn one by one, then its writes as one batch"
        case .delete: "forgets keys in ascending order, each once"
        }
    }

    var writes: Bool { self != .read && self != .scan }
}

/// What a comparison measures.
package struct BenchPlan: Sendable {
    /// Entries of a scanned page.
    package static let pageEntries = 100

    package var mixes = BenchMix.allCases
    /// Lengths of values in bytes.
    package var sizes = [16, 100, 1024, 65536]
    /// Callers at once: the operations of so many are one batch.
    package var writers = [1, 64]
    /// A cell ends after so much time within calls, or after `operations`.
    package var seconds = 0.5
    package var operations = Int.max
    package var rounds = 5
    /// Keys of a store, but no more than fit into `storeBytes` of values.
    package var keys = 20_000
    package var storeBytes = 64 << 20

    package init() {}

    package func keyCount(size: Int) -> Int { max(writers.count, min(keys, storeBytes / max(size, 1))) }

    /// - Throws: `.invalid` that says which figure is outside its limits.
    package func validate() throws(StorageError) {
        func check(_ isLegal: Bool, _ message: String) throws(StorageError) {
            guard isLegal else { throw StorageError(.invalid, message) }
        }
        try check(
            !mixes.isEmpty && !sizes.isEmpty && !writers.isEmpty, "name at least one mix, size and number of writers")
        try check(sizes.allSatisfy { 0...(16 << 20) ~= $0 }, "sizes are 0 to \(16 << 20) bytes")
        try check(writers.allSatisfy { 1...10_000 ~= $0 }, "writers are 1 to 10000")
        try check(seconds > 0 && seconds <= 3600, "seconds per cell are above 0 and at most 3600")
        try check(operations >= 1, "operations per cell are at least 1")
        try check(1...1000 ~= rounds, "rounds are 1 to 1000")
        try check(1...100_000_000 ~= keys, "keys are 1 to 100000000")
        try check(
            Set(sizes).count == sizes.count && Set(writers).count == writers.count,
            "name each size and number of writers once")
    }
}

/// One thing that is measured, for every contender and in every round.
package struct BenchCell: Hashable, Sendable {
    package let size: Int
    package let mix: BenchMix
    package let writers: Int

    package init(size: Int, mix: BenchMix, writers: Int) {
        self.size = size
        self.mix = mix
        self.writers = writers
    }

    /// Threads that read at once. More of them than processors would measure the system's scheduler.
    package var readThreads: Int { min(writers, 2 * Machine.processors) }
}

/// What was measured for one contender in one round.
package struct BenchResult: Sendable {
    package var operations = 0
    /// Time within calls, of one thread; operations per second are those of all threads.
    package var seconds = 0.0
    /// Time that the processor worked within those calls, system calls included.
    package var processorSeconds = 0.0
    package var latency = LatencyHistogram()
    /// Keys and values that were handed over to be stored.
    package var bytesStored: UInt64 = 0
    /// What the kernel says that this process wrote to disks; `nil` where it doesn't.
    package var bytesWritten: UInt64?
    /// Allocated blocks of the folder afterwards.
    package var bytesOnDisk: UInt64?
    /// Growth of this process's own resident memory, and of files mapped into it; `nil` where the system doesn't say.
    package var ownMemory: Int64?
    package var mappedMemory: Int64?

    package init() {}

    package var rate: Double { seconds > 0 ? Double(operations) / seconds : 0 }
    package var processorTime: Double { operations > 0 ? processorSeconds / Double(operations) : 0 }
}
