/// How much is said again to one member that owes answers: much to one that answers, less and less often to one that
/// does not.
///
/// A connection loses nothing while it stands, so that a member which stays silent on a live one is busy, or can't
/// store: a full disk. All that it owes, said again four times a second, would take the network and the processors that
/// the others need. After a round that nothing answered the window is the smallest and the interval doubles; answers
/// double the window, as after a timeout of TCP (RFC 5681).
struct Patience: Hashable, Sendable {
    static let largestWindow = 256
    private static let smallestWindow = 4
    /// Bytes of values in one round; a single larger value still goes.
    private static let largestBytes = 4 << 20
    /// The longest interval, as a multiple of the shortest.
    private static let longest: UInt64 = 8

    private var window = Patience.largestWindow
    private var interval: UInt64 = 0
    private var nextAt: UInt64 = 0
    private var hasAnswered = true

    /// What is left of a round.
    struct Allowance {
        fileprivate(set) var messages: Int
        fileprivate var bytes: Int
        fileprivate(set) var isUsed = false

        fileprivate init(messages: Int, bytes: Int) {
            self.messages = messages
            self.bytes = bytes
        }

        var isOpen: Bool { messages > 0 && bytes > 0 }

        mutating func spend(_ count: Int) {
            isUsed = true
            messages -= 1
            bytes -= count
        }
    }

    /// The member answered something that it had been asked to store.
    mutating func answered() { hasAnswered = true }

    /// Something was said again, and once more, and it has answered nothing since.
    var isSilent: Bool { !hasAnswered && window == Patience.smallestWindow }

    /// What may be said again now.
    func allowance(now: UInt64) -> Allowance {
        guard hasAnswered || now >= nextAt else { return Allowance(messages: 0, bytes: 0) }
        return Allowance(messages: hasAnswered ? grown : window, bytes: Patience.largestBytes)
    }

    /// A round is over in which something was said again.
    mutating func ended(now: UInt64, shortest: UInt64) {
        if hasAnswered {
            window = grown
            interval = shortest
        } else {
            window = Patience.smallestWindow
            interval = min(max(interval, shortest) * 2, shortest * Patience.longest)
        }
        hasAnswered = false
        nextAt = now + interval
    }

    private var grown: Int { min(window * 2, Patience.largestWindow) }
}

/// One round of saying again, to several members at once.
struct RepeatRound {
    private var allowances: [Patience.Allowance]
    /// The members that may still be told something.
    private(set) var open: Electorate.Set = 0

    init(_ peers: [PeerProgress], among set: Electorate.Set, now: UInt64) {
        allowances = peers.map { $0.patience.allowance(now: now) }
        for index in allowances.indices where allowances[index].isOpen {
            open |= set & (1 << Electorate.Set(index))
        }
    }

    /// A message with a value of that many bytes was sent to the members of `set`.
    mutating func spend(_ bytes: Int, on set: Electorate.Set) {
        for index in allowances.indices {
            let bit: Electorate.Set = 1 << Electorate.Set(index)
            guard set & bit != 0 else { continue }
            allowances[index].spend(bytes)
            if !allowances[index].isOpen { open &= ~bit }
        }
    }

    func end(_ peers: inout [PeerProgress], now: UInt64, shortest: UInt64) {
        for index in allowances.indices where allowances[index].isUsed {
            peers[index].patience.ended(now: now, shortest: shortest)
        }
    }
}
