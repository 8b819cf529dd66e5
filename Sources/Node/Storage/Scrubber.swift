internal import KVProtocols

/// Reads what nobody asks for: every record of the backend, page after page, pass after pass, at a bounded rate.
///
/// A bit that flips in a record that no client reads would else stay until the other copies are gone too, and a record that
/// is gone from the disk would be taken for one that never was. Nothing is changed here: what is wrong is reported, and
/// the engine sees to its repair. Takes its clock from the caller, and looks at the backend only through reads, which any
/// thread may do while the flusher applies.
struct Scrubber {
    struct Limits: Sendable {
        /// More than 0.
        var bytesPerSecond: Int
        /// A pass begins so long after the one before began, or later.
        var passMilliseconds: UInt64
    }

    enum Step: Equatable {
        case worked
        /// Nothing may be read for so many milliseconds.
        case wait(UInt64)
        /// The backend is closed or poisoned.
        case ended
    }

    /// What reading one record costs besides its bytes: about what a disk could have read instead. Bounds the records per
    /// second.
    static let recordCost = 8 << 10
    private static let largestPage = 64

    private let backend: any StorageBackend
    private let limits: Limits
    private let seed: UInt64
    private let isFlushing: @Sendable () -> Bool
    private let report: @Sendable (StorageEvent) -> Void

    private var partition: Int
    private var after: Key?
    /// The partition's digest as it is stored, from before its first page.
    private var stored: [UInt8]?
    /// Of what was read of the partition; `nil` when that can't be compared, also before the first page.
    private var digest: PartitionDigest?
    private var hasBegun = false
    /// Entries to be read one by one, because the page that holds them could not be read.
    private var singles = 0
    /// What a record cost on the last page.
    private var meanCost = Scrubber.recordCost
    /// The bytes read so far are paid for from here on.
    private var readyAt: UInt64 = 0
    private var passSince: UInt64?
    private var atPassStart = ScrubFigures()
    private(set) var figures = ScrubFigures()

    /// - Parameters:
    ///   - first: the partition at which the first pass begins. A process that is often restarted begins elsewhere each
    ///     time, so that no partition is always left out.
    ///   - seed: the key of the digests' hash.
    ///   - isFlushing: whether records may be in the backend and their digest not yet, or the other way round.
    init(
        _ backend: any StorageBackend, partitions: Int, first: Int, seed: UInt64, limits: Limits,
        isFlushing: @escaping @Sendable () -> Bool, report: @escaping @Sendable (StorageEvent) -> Void
    ) {
        precondition(limits.bytesPerSecond > 0 && 0..<partitions ~= first)
        self.backend = backend
        self.limits = limits
        self.seed = seed
        self.isFlushing = isFlushing
        self.report = report
        partition = first
        figures.partitions = partitions
        atPassStart = figures
    }

    /// Reads one page if the rate allows it now. `now` is in milliseconds, of a clock that never goes back.
    mutating func step(now: UInt64) -> Step {
        guard now >= readyAt else { return .wait(readyAt - now) }
        if passSince == nil {
            passSince = now
            atPassStart = figures
        }
        do {
            if !hasBegun { try beginPartition() }
            var cost: Int
            if singles > 0 {
                singles -= 1
                cost = try readSingle(now: now)
            } else {
                cost = try readPage(now: now)
            }
            cost = max(cost, Scrubber.recordCost)
            readyAt = max(readyAt, now + UInt64((cost * 1000 + limits.bytesPerSecond - 1) / limits.bytesPerSecond))
            return .worked
        } catch {
            return .ended
        }
    }

    // MARK: Reading

    private var id: PartitionID { PartitionID(UInt16(partition)) }

    /// As many records as an eighth of a second pays for.
    private var pageLimit: Int {
        min(max(limits.bytesPerSecond / 8 / meanCost, 1), Scrubber.largestPage)
    }

    /// Returns what was read, in bytes.
    /// - Throws: `.poisoned` or `.closed`.
    private mutating func readPage(now: UInt64) throws(StorageError) -> Int {
        let limit = pageLimit
        let page: ScanPage
        do throws(StorageError) {
            page = try backend.scan(ScanRequest(partition: id, after: after, limit: limit))
        } catch {
            try throwIfOver(error)
            // Which key it is can be found out only by looking at them one by one.
            singles = limit
            return 0
        }
        var cost = 0
        for entry in page.entries {
            cost += Scrubber.recordCost + count(entry.key, entry.record)
            if let record = entry.record, record.isIntact(for: entry.key) {
                digest?.update(entry.key, from: nil, to: record.version, seed: seed)
            } else {
                digest = nil
                _ = try verify(entry.key)
            }
        }
        if !page.entries.isEmpty { meanCost = cost / page.entries.count }
        try advance(page, now: now)
        return cost
    }

    /// Finds the next key without reading its value, then the record.
    private mutating func readSingle(now: UInt64) throws(StorageError) -> Int {
        let page: ScanPage
        do throws(StorageError) {
            page = try backend.scan(ScanRequest(partition: id, after: after, limit: 1, values: false))
        } catch {
            try throwIfOver(error)
            // Not even the keys can be read, so there is no way past.
            figures.unreadable += 1
            report(.unreadable(id, error))
            digest = nil
            try leavePartition(now: now)
            return 0
        }
        var cost = 0
        if let key = page.entries.first?.key {
            let record = try verify(key)
            cost = Scrubber.recordCost + count(key, record)
            digest?.update(key, from: nil, to: record?.version, seed: seed)
        }
        try advance(page, now: now)
        return cost
    }

    /// Reads a record by itself. What failed in a page may have been replaced or purged since; what fails here as well is
    /// damaged.
    private mutating func verify(_ key: Key) throws(StorageError) -> Record? {
        do throws(StorageError) {
            return try backend.read(id, key)
        } catch {
            try throwIfOver(error)
            digest = nil
            figures.damaged += 1
            report(.damaged(id, key, error))
            return nil
        }
    }

    private mutating func count(_ key: Key, _ record: Record?) -> Int {
        guard let record else { return 0 }
        let bytes = key.bytes.count + (record.value?.count ?? 0)
        figures.records += 1
        figures.bytes += UInt64(bytes)
        return bytes
    }

    private func throwIfOver(_ error: StorageError) throws(StorageError) {
        if error.code == .poisoned || error.code == .closed { throw error }
    }

    // MARK: Passes

    private mutating func beginPartition() throws(StorageError) {
        hasBegun = true
        do throws(StorageError) {
            _ = try backend.metadata(.partition(id), StorageCheckpoint.stateName)
        } catch {
            try throwIfOver(error)
            report(.damagedState(id, error))
        }
        digest = PartitionDigest()
        stored = try storedDigest()
    }

    /// What can't be read is computed anew when the folder is opened.
    private mutating func storedDigest() throws(StorageError) -> [UInt8]? {
        do throws(StorageError) {
            return try backend.metadata(.partition(id), StorageCheckpoint.digestName)
        } catch {
            try throwIfOver(error)
            digest = nil
            return nil
        }
    }

    /// A digest is stored with the records that it sums up. If it was the same before and after they were read, it is
    /// their sum, unless some are gone or came back. A flush that begins from here on is too late for what was read.
    private mutating func compareDigests() throws(StorageError) {
        guard digest != nil, !isFlushing() else { return }
        let now = try storedDigest()
        guard let digest, now == stored else { return }
        // Without one the partition was never written.
        let expected = now.map { $0.withUnsafeBytes { DigestCodec.decode($0) } } ?? .some(PartitionDigest())
        if case .some(.some(let expected)) = expected, expected != digest { report(.inconsistent(id)) }
    }

    private mutating func advance(_ page: ScanPage, now: UInt64) throws(StorageError) {
        if let last = page.entries.last, !page.isLast {
            after = last.key
        } else {
            try leavePartition(now: now)
        }
    }

    private mutating func leavePartition(now: UInt64) throws(StorageError) {
        try compareDigests()
        hasBegun = false
        after = nil
        singles = 0
        partition = (partition + 1) % figures.partitions
        figures.partitionsDone += 1
        guard figures.partitionsDone == figures.partitions else { return }
        figures.partitionsDone = 0
        figures.passes += 1
        let since = passSince ?? now
        passSince = nil
        readyAt = since + limits.passMilliseconds
        report(
            .scrubbed(
                ScrubPass(
                    records: figures.records - atPassStart.records, bytes: figures.bytes - atPassStart.bytes,
                    damaged: figures.damaged - atPassStart.damaged,
                    unreadable: figures.unreadable - atPassStart.unreadable, milliseconds: now - since)))
    }
}
