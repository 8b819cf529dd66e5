/// The first byte of every message. Numbers are never given twice; a change of a layout is a new protocol version.
enum PeerTag: UInt8 {
    case canvass = 1
    case supported = 2
    case prepare = 3
    case promised = 4
    case accept = 5
    case accepted = 6
    case copy = 7
    case copied = 8
    case confirm = 9
    case confirmed = 10
    case query = 11
    case known = 12
    case digest = 13
    case digested = 14
    case walk = 15
    case walked = 16
    case buried = 17
    case burial = 18
    case purge = 19
    case wishToLead = 20
    case handOver = 21
    case resigned = 22
    case install = 23
    case rejected = 24
    case recall = 25
    case recalled = 26

    case requestOperation = 64
    case requestList = 65
    case requestReplica = 66
    case replyOutcome = 67
    case replyList = 68
    case replyReplica = 69

    /// Added to the tag of a machine's message whose partition and header are those of the one before in the frame.
    static let isRepeated: UInt8 = 0x80
}

/// One version of a list.
enum PeerVersionTag: UInt8 {
    case none = 0
    /// Ballot and sequence.
    case whole = 1
    /// The sequence; the ballot is that of the last version in the list.
    case sameBallot = 2
}

enum PeerOperationTag: UInt8 {
    case get = 1
    case put = 2
    case delete = 3
    case increment = 4
    case barrier = 5
}

enum PeerConditionTag: UInt8 {
    case none = 0
    case present = 1
    case absent = 2
    case version = 3
}

enum PeerOutcomeTag: UInt8 {
    case value = 1
    case absent = 2
    case passed = 3
    case written = 4
    case conditionFailed = 5
    case notANumber = 6
    case refused = 7
    case unknown = 8
}

enum PeerRefusalTag: UInt8 {
    case notLeader = 1
    case electing = 2
    case noQuorum = 3
    case overloaded = 4
    case timeout = 5
    case failed = 6
    case full = 7
}

enum PeerReplicaTag: UInt8 {
    case holds = 1
    case missing = 2
    case damaged = 3
}
