/// Figures of all links together since the start; they only grow. Pings and greetings are left out.
public struct PeerCounters: Hashable, Sendable {
    public var framesIn: UInt64 = 0
    public var framesOut: UInt64 = 0
    public var bytesIn: UInt64 = 0
    public var bytesOut: UInt64 = 0
    public var messagesIn: UInt64 = 0
    public var messagesOut: UInt64 = 0
    /// Messages that were not sent: no connection, or a full queue, or a connection that closed before.
    public var dropped: UInt64 = 0
    /// Received messages whose record did not match its checksum.
    public var damaged: UInt64 = 0
    /// Connections closed because of what came over them.
    public var malformed: UInt64 = 0
    /// Peers turned away, and refusals met.
    public var turnedAway: UInt64 = 0

    public init() {}
}
