internal import KVProtocols

extension NodeStorage {
    /// Takes in what a thread reported; called on the engine's thread. Late events of a stopped storage are ignored.
    public func handle(_ event: StorageEvent) {
        guard !isStopped else { return }
        switch event {
        case .durable(let position):
            guard failure == nil, position > durable else { return }
            durable = position
            journal.pace()
            startPendingJob()
        case .flushed(let position):
            finishFlush(at: position)
            startFlushIfDue()
        case .failed(let error):
            if failure == nil { failure = error }
        case .journalFull(let error):
            journalDegradation = error
        case .spaceReturned:
            journalDegradation = nil
        case .flushFailed(let error):
            flushDegradation = error
        case .damagedState(let partition, _):
            // The next start would end at it. What is in memory was verified when it was read, or was made here.
            save(partition, state(of: partition))
        case .damaged, .unreadable, .inconsistent, .scrubbed:
            break  // what follows from it is the engine's business
        }
    }

    /// Tells the time, of a clock that never goes back; about every 10 ms. Starts a flush when one is due.
    public func tick(nowMilliseconds now: UInt64) {
        if nowMilliseconds == 0 { dirtySinceMilliseconds = now }
        nowMilliseconds = max(now, nowMilliseconds)
        startFlushIfDue()
        pauseScrubIfBusy()
    }

    /// How long the flusher rests after a flush, as a multiple of what that took.
    private static let restFactor: UInt64 = 8
    /// A value is in the backend soon after it was written, also after a long flush.
    private static let longestRestMilliseconds: UInt64 = 4_000

    /// A flush is due when the flusher is free and the oldest change has waited long enough, or there are many. After a
    /// flush it rests for a multiple of what that took: so an engine that is slow at small batches gets larger ones, in
    /// which more changes share a page and those of one key have become one, and leaves most of the time to the journal and
    /// to clients.
    func startFlushIfDue() {
        guard failure == nil, !isStopped, !view.isFlushing, !view.active.isEmpty else { return }
        let waited = nowMilliseconds - min(dirtySinceMilliseconds, nowMilliseconds)
        let quarter = settings.overlayLimitBytes / 4
        guard
            waited >= settings.flushDelayMilliseconds && nowMilliseconds >= restUntilMilliseconds
                || view.active.bytes > quarter || view.active.journalBytes > settings.overlayLimitBytes
        else { return }
        flushSinceMilliseconds = nowMilliseconds
        pendingJob = makeJob()
        commit()
        startPendingJob()
    }

    /// Closes the active generation and makes it a job that ends at `appended`.
    func makeJob() -> FlushJob {
        for index in doubtfulDigests.sorted() { settleDigest(of: index) }
        view.beginFlush()
        let generation = view.flushing
        var digests: [Int: PartitionDigest?] = [:]
        for partition in generation.touched {
            digests.updateValue(
                doubtfulDigests.contains(partition) ? nil : view.digests[partition], forKey: partition)
        }
        return FlushJob(
            generation: generation, digests: digests,
            checkpoint: StorageCheckpoint(
                position: appended, folder: folder.identity, seed: settings.seed, partitions: view.states.count),
            limits: FlushJob.Limits(operations: settings.flushOperations, bytes: settings.flushBytes))
    }

    /// The backend must not get what the journal may still lose: after a crash it would know entries that were never
    /// acknowledged, under positions that are given again.
    private func startPendingJob() {
        guard let job = pendingJob, job.checkpoint.position <= durable else { return }
        pendingJob = nil
        flushSign.set(true)
        flusher.start(job)
    }

    private func finishFlush(at position: UInt64) {
        guard view.isFlushing else { return }
        let took = nowMilliseconds - flushSinceMilliseconds
        restUntilMilliseconds =
            nowMilliseconds + min(NodeStorage.restFactor * took, NodeStorage.longestRestMilliseconds)
        flusher.discard(view.endFlush())
        flushed = position
        flushSign.set(false)
        flushDegradation = nil
        journal.release(upTo: position)
    }
}
