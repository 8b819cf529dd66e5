/// How far the scrub of a node's backend is, and what it found since the folder was opened.
public struct ScrubFigures: Hashable, Sendable {
    /// Records read and verified, tombstones included.
    public var records: UInt64 = 0
    /// Bytes of their keys and values.
    public var bytes: UInt64 = 0
    /// Records that failed verification twice; one that is not repaired counts again in the next pass.
    public var damaged: UInt64 = 0
    /// Partitions of which a part could not be read, so that not even its keys are known; counted in every pass.
    public var unreadable: UInt64 = 0
    /// Passes over the whole backend that are finished.
    public var passes: UInt64 = 0
    /// Partitions that the pass under way has behind it.
    public var partitionsDone = 0
    public var partitions = 0

    public init() {}
}

/// One finished pass over the whole backend.
public struct ScrubPass: Hashable, Sendable {
    public var records: UInt64
    public var bytes: UInt64
    public var damaged: UInt64
    public var unreadable: UInt64
    public var milliseconds: UInt64
}
