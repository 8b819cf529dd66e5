internal import KVProtocols
internal import NIOCore

/// One peer as this node sees it. Belongs to the event loop.
final class PeerLink {
    var address: PeerAddress
    let outbox: PeerOutbox
    /// The connection that this node dialled, from the dial on.
    var outgoing: PeerConnection?
    /// The newest connection that the peer dialled and that was let in.
    var incoming: PeerConnection?
    /// What was last reported.
    var isReported = false
    /// The highest boot counter that the map or the peer itself has shown.
    var boot: UInt64
    /// A dial is under way: its number; what comes of an older one is closed.
    var dialling: UInt64?
    var redial: Scheduled<Void>?
    var wait: Duration
    var establishedAt: NIODeadline?

    init(_ address: PeerAddress, settings: PeerNetworkSettings) {
        self.address = address
        boot = address.boot
        wait = settings.redialMinimum
        outbox = PeerOutbox(maximumBytes: settings.maximumQueueBytes)
    }

    /// Both directions: what is asked over one is answered over the other.
    var isUp: Bool { outgoing?.isEstablished == true && incoming != nil }

    /// The next wait before a dial: doubles each time, with a random part so that two nodes don't keep in step.
    func nextWait(_ settings: PeerNetworkSettings) -> TimeAmount {
        let now = wait
        wait = min(wait * 2, settings.redialMaximum)
        return TimeAmount(now / 2 + (now / 2) * Double.random(in: 0...1))
    }
}
