public import KVProtocols

/// What the journal's, the flusher's and the scrub's threads report. The engine carries it to its own thread and gives it to
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
    /// The scrub read this record of the backend twice, and it failed verification, or could not be read. The overlay may
    /// have a newer one by now.
    case damaged(PartitionID, Key, StorageError)
    /// From some key on the scrub could not read the backend's partition, not even its keys. Reported once per pass.
    case unreadable(PartitionID, StorageError)
    /// The backend's records of the partition did not add up to the digest that is stored with them, when the scrub read
    /// them: some are gone from the disk, or came back; or a flush was under way.
    case inconsistent(PartitionID)
    /// The stored state of the partition fails verification. It is written anew by itself.
    case damagedState(PartitionID, StorageError)
    /// The scrub has read the whole backend once more.
    case scrubbed(ScrubPass)
}
