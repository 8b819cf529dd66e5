/// The bounds of one HTTP server. What passes one is answered with 413, 431 or 408, or its connection is closed.
public struct HTTPServerLimits: Hashable, Sendable {
    /// A connection that has no request in progress, or whose request does not arrive, is closed after this.
    public var idleTimeout: Duration
    /// A body that takes longer than this plus one second per 64 KiB is answered with 408.
    public var bodyTimeout: Duration
    /// One header field, in bytes.
    public var maximumHeaderFieldLength: Int
    /// All header fields together, in bytes.
    public var maximumHeadersLength: Int
    public var maximumHeaderCount: Int
    /// Beyond it new connections wait in the operating system's backlog.
    public var maximumConnections: Int
    /// Bytes of an unwanted body that are read and dropped, so that the client sees the answer, before the connection
    /// is closed.
    public var maximumDiscardedLength: Int

    public init(
        idleTimeout: Duration = .seconds(15), bodyTimeout: Duration = .seconds(10),
        maximumHeaderFieldLength: Int = 16 << 10, maximumHeadersLength: Int = 32 << 10, maximumHeaderCount: Int = 100,
        maximumConnections: Int = 4_096, maximumDiscardedLength: Int = 8 << 20
    ) {
        self.idleTimeout = idleTimeout
        self.bodyTimeout = bodyTimeout
        self.maximumHeaderFieldLength = maximumHeaderFieldLength
        self.maximumHeadersLength = maximumHeadersLength
        self.maximumHeaderCount = maximumHeaderCount
        self.maximumConnections = maximumConnections
        self.maximumDiscardedLength = maximumDiscardedLength
    }
}
