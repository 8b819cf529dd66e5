internal import KVProtocols
internal import Synchronization

/// Whether the flusher may be amid its work, as seen from other threads.
final class FlushSign: Sendable {
    private let isUp: Atomic<Bool>

    init(_ isUp: Bool) { self.isUp = Atomic(isUp) }

    func set(_ value: Bool) { isUp.store(value, ordering: .sequentiallyConsistent) }
    var value: Bool { isUp.load(ordering: .sequentiallyConsistent) }
}

extension NodeStorage {
    /// `nil` when nothing is to be scrubbed.
    static func makeScrub(
        _ backend: any StorageBackend, partitions: Int, settings: Settings, sign: FlushSign, driver: WorkerDriver,
        notify: @escaping @Sendable (StorageEvent) -> Void
    ) throws(StorageError) -> ScrubThread? {
        guard settings.scrubBytesPerSecond > 0 else { return nil }
        let scrubber = Scrubber(
            backend, partitions: partitions, first: driver == .threads ? Int.random(in: 0..<partitions) : 0,
            seed: settings.seed,
            limits: Scrubber.Limits(
                bytesPerSecond: settings.scrubBytesPerSecond, passMilliseconds: settings.scrubPassMilliseconds),
            isFlushing: { sign.value }, report: notify)
        return try ScrubThread(scrubber, driver: driver)
    }

    /// A disk that does not keep up with clients, or can't be written, is not asked for what nobody waits for.
    func pauseScrubIfBusy() {
        guard let scrub else { return }
        let isBusy = isOverLimit || degradation != nil || failure != nil
        guard isBusy != isScrubPaused else { return }
        isScrubPaused = isBusy
        scrub.setPaused(isBusy)
    }
}
