public import KVProtocols

/// What a storage says of its size, and of the bounds within which it stays.
extension NodeStorage {
    /// Estimated memory of everything that the backend lacks.
    public var overlayBytes: Int { view.overlayBytes }

    /// Whether clients' writes should wait: the overlay is at its limit, or one key is rewritten so often that the journal
    /// grows far beyond it.
    public var isOverLimit: Bool {
        isOver(settings.overlayLimitBytes)
    }

    /// Whether peers' records should wait too: twice as much as clients may fill, in memory or in the journal's queue.
    public var isFarOverLimit: Bool { isOver(2 * settings.overlayLimitBytes) }

    private func isOver(_ limit: Int) -> Bool {
        view.overlayBytes > limit || view.journalBytes / 4 > limit
    }

    /// O(1), but for the first call, which asks the backend: its own figures are of the last time that it was asked, on the
    /// flusher's thread, which each call causes that comes a second or more after the one before.
    /// - Throws: what the backend threw.
    public func statistics() throws(StorageError) -> StorageStatistics {
        let figures = journal.figures
        let isDue = nowMilliseconds - min(measuredMilliseconds, nowMilliseconds) >= 1000
        if isDue { measuredMilliseconds = nowMilliseconds }
        let backend = try flusher.statistics(refreshing: isDue)
        noteFree(backend.bytesFree)
        return StorageStatistics(
            backend: backend, overlayEntries: view.overlayEntries,
            overlayBytes: view.overlayBytes,
            journalSegments: figures.segments, journalBytes: figures.bytes, journalSyncs: figures.syncs,
            flushes: flusher.flushes, appended: appended, durable: durable, flushed: flushed,
            scrub: scrub?.figures ?? ScrubFigures())
    }

    private func noteFree(_ bytes: UInt64) {
        let reserve = UInt64(max(0, settings.reserveBytes))
        guard reserve > 0, backend.capabilities.durable else { return }
        if bytes < reserve {
            lowDegradation = StorageError(
                .full,
                "the disk is nearly full: \(bytes >> 20) MiB are free, and \(reserve >> 20) MiB are kept for deletes and repairs; "
                    + "free some space, delete keys, or lower limits.disk_reserve_bytes", path: folder.path)
        } else if bytes >= reserve + reserve / 4 {
            lowDegradation = nil
        }
    }
}
