public import KVProtocols

/// What the journal's and the flusher's threads report. The engine carries it to its own thread and gives it to
/// `NodeStorage.handle`; what the event means for others (answers, health) is the engine's business.
public enum StorageEvent: Sendable {
    /// Every entry up to this position is on the disk.
    case durable(UInt64)
    /// The backend has every entry up to this position.
    case flushed(UInt64)
    /// Nothing becomes durable any more until the folder is opened again.
    case failed(StorageError)
    /// The disk is full: staged entries wait, are not durable, and are tried again by themselves. Reported once per spell.
    case journalFull(StorageError)
    /// The journal writes again.
    case spaceReturned
    /// The backend refused a batch (`.full`, `.readOnly`); it is tried again by itself. Reported for every attempt.
    case flushFailed(StorageError)
}
