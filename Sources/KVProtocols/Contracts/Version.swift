/// A leader's licence for one partition. Totally ordered; never used twice.
public struct Ballot: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var counter: UInt64
    public var node: NodeID

    public static let zero = Ballot(counter: 0, node: NodeID(0))

    public init(counter: UInt64, node: NodeID) {
        self.counter = counter
        self.node = node
    }

    public static func < (left: Ballot, right: Ballot) -> Bool {
        left.counter != right.counter ? left.counter < right.counter : left.node < right.node
    }

    public var description: String { "\(counter).\(node)" }
}

/// The order of a key's records: the ballot of the leader that wrote it and that leader's running number.
/// The text form `counter.node.sequence` is the ETag.
public struct Version: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var ballot: Ballot
    public var sequence: UInt64

    /// Lower than the version of every record.
    public static let zero = Version(ballot: .zero, sequence: 0)

    public init(ballot: Ballot, sequence: UInt64) {
        self.ballot = ballot
        self.sequence = sequence
    }

    /// Parses the text form; `nil` when the text is anything else.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let counter = UInt64(parts[0]), let node = UInt32(parts[1]),
            let sequence = UInt64(parts[2])
        else { return nil }
        self.init(ballot: Ballot(counter: counter, node: NodeID(node)), sequence: sequence)
    }

    public static func < (left: Version, right: Version) -> Bool {
        left.ballot != right.ballot ? left.ballot < right.ballot : left.sequence < right.sequence
    }

    public var description: String { "\(ballot).\(sequence)" }
}
