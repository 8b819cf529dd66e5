import KVProtocols

/// One contender's store during a round, with what it was told.
final class BenchStore {
    let contender: BenchContender
    private let parent: String
    private let size: Int
    private var folder: BenchFolder
    private var hasFolder = true
    private var isOpen = true
    private(set) var target: any BenchTarget
    var workload: BenchWorkload

    init(_ contender: BenchContender, in parent: String, keys: BenchKeys, size: Int) throws(StorageError) {
        self.contender = contender
        self.parent = parent
        self.size = size
        let folder = try BenchFolder(in: parent, name: contender.name)
        do throws(StorageError) {
            target = try contender.open(folder.path)
        } catch {
            // The first error is the one to report.
            do throws(StorageError) { try folder.remove() } catch {}
            throw error
        }
        self.folder = folder
        workload = BenchWorkload(keys: keys, size: size)
    }

    /// Goes on with an empty store.
    func startAnew() throws(StorageError) {
        try discard()
        folder = try BenchFolder(in: parent, name: contender.name)
        hasFolder = true
        target = try contender.open(folder.path)
        isOpen = true
        workload = BenchWorkload(keys: workload.keys, size: size)
    }

    /// Stores every key that is missing, in batches that are large but not measured.
    func fill() throws(StorageError) {
        var missing = workload.missing[...]
        while !missing.isEmpty {
            let batch = missing.prefix(max(1, min(1000, (16 << 20) / max(size, 1))))
            missing = missing.dropFirst(batch.count)
            try target.apply(workload.puts(batch))
        }
    }

    /// Closes what is open and removes the folder if there is one, the second also when the first fails.
    func discard() throws(StorageError) {
        var failure: StorageError?
        if isOpen {
            // A target is closed once, whatever comes of it: raw calls would free their handles twice.
            isOpen = false
            do throws(StorageError) { try target.close() } catch { failure = error }
        }
        if hasFolder {
            hasFolder = false
            do throws(StorageError) { try folder.remove() } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    /// Measures one cell, and looks afterwards whether the store holds what it was told.
    func measure(_ cell: BenchCell, _ plan: BenchPlan, part: Int) throws(StorageError) -> BenchResult {
        if cell.mix == .load { try startAnew() } else if cell.mix != .delete || part == 0 { try fill() }
        if cell.mix == .scan { try target.prepareScans() }
        let written = Machine.bytesWritten(below: parent)
        let memory = Machine.memory()
        workload.random = BenchRandom(seed: UInt64(cell.writers))
        var result = try run(cell, plan, part: part)
        if cell.mix.writes {
            if let written, let now = Machine.bytesWritten(below: parent) { result.bytesWritten = now - written }
            result.bytesOnDisk = try folder.allocatedBytes()
        }
        if let memory, let now = Machine.memory() {
            result.ownMemory = now.own - memory.own
            result.mappedMemory = now.mapped - memory.mapped
        }
        try verify(cell)
        return result
    }

    /// Compares some keys, spread evenly.
    private func verify(_ cell: BenchCell) throws(StorageError) {
        let reader = try target.reader()
        for index in stride(from: 0, to: workload.count, by: max(1, workload.count / 50)) {
            let found = try reader.record(workload.keys.partitions[index], workload.keys.keys[index])
            guard found == workload.expected(index) else {
                throw StorageError(
                    .damaged,
                    "\(contender.name) does not hold what it was told: key \(workload.keys.keys[index]) "
                        + "after \(cell.mix.rawValue) with \(cell.writers) writers, values of \(cell.size) bytes",
                    path: folder.path)
            }
        }
    }
}
