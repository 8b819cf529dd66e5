/// The times and bounds of a node's links.
public struct PeerNetworkSettings: Hashable, Sendable {
    /// A side of a connection that has sent nothing for this long sends a ping.
    public var ping: Duration = .milliseconds(200)
    /// A connection over which nothing came for this long is closed; so is one on which no hello came in this time.
    public var silence: Duration = .milliseconds(1_000)
    /// The first wait before dialling again; doubles up to `redialMaximum`, of which a random half is left out.
    public var redialMinimum: Duration = .milliseconds(20)
    /// Also the wait after being turned away.
    public var redialMaximum: Duration = .milliseconds(500)
    public var connectTimeout: Duration = .seconds(1)
    /// What may wait for one peer, in bytes of memory, estimated. A single larger message may wait alone.
    public var maximumQueueBytes = 64 << 20
    /// Incoming connections that have not shown who they are; more are closed at once.
    public var maximumStrangers = 64
    /// The same reason for turning someone away is reported once in this time.
    public var repeatReason: Duration = .seconds(10)

    public init() {}
}
