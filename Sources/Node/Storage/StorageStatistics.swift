public import KVProtocols

/// Figures of a node's storage, for a person and for metrics.
public struct StorageStatistics: Hashable, Sendable {
    /// The backend's own figures: they lag behind by what the overlay holds, and by a second or two.
    public var backend: BackendStatistics
    /// Keys with a change that the backend lacks.
    public var overlayEntries: Int
    /// Estimated memory of the overlay.
    public var overlayBytes: Int
    /// Segment files in use.
    public var journalSegments: Int
    /// Their size on the disk.
    public var journalBytes: UInt64
    /// Syncs of the journal since the folder was opened.
    public var journalSyncs: UInt64
    /// Flushes into the backend since the folder was opened.
    public var flushes: UInt64
    /// Position of the last staged entry.
    public var appended: UInt64
    /// Position up to which entries are durable.
    public var durable: UInt64
    /// Position up to which the backend has everything.
    public var flushed: UInt64
    /// All zero when nothing is scrubbed.
    public var scrub: ScrubFigures
}
