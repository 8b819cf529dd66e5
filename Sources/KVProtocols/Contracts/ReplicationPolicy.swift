/// How many members hold a partition and how many must agree: N replicas, W for a write, R for a read.
///
/// R + W > N makes every read quorum meet every write quorum. A member set of n nodes uses `writeQuorum(of: n)` and
/// `readQuorum(of: n)`, which keep that property for every n.
public struct ReplicationPolicy: Hashable, Sendable, Codable {
    public let replicas: Int
    public let write: Int
    public let read: Int

    public static let standard = ReplicationPolicy(unchecked: 3, 2, 2)

    /// - Throws: `PolicyError` naming the rule and the numbers that break it.
    public init(replicas: Int, write: Int, read: Int) throws(PolicyError) {
        guard 1...9 ~= replicas else { throw .replicas(replicas) }
        guard 1...replicas ~= write else { throw .write(write, replicas: replicas) }
        guard 1...replicas ~= read else { throw .read(read, replicas: replicas) }
        guard read + write > replicas else { throw .disjoint(read: read, write: write, replicas: replicas) }
        self.init(unchecked: replicas, write, read)
    }

    private init(unchecked replicas: Int, _ write: Int, _ read: Int) {
        self.replicas = replicas
        self.write = write
        self.read = read
    }

    /// W(n) = min(W, n).
    public func writeQuorum(of members: Int) -> Int { min(write, members) }

    /// R(n) = max(n - W(n) + 1, min(R, n)).
    public func readQuorum(of members: Int) -> Int { max(members - writeQuorum(of: members) + 1, min(read, members)) }

    private enum CodingKeys: String, CodingKey {
        case replicas
        case write = "write_quorum"
        case read = "read_quorum"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try self.init(
            replicas: container.decode(Int.self, forKey: .replicas),
            write: container.decode(Int.self, forKey: .write),
            read: container.decode(Int.self, forKey: .read))
    }
}

/// The rule that a policy breaks; `description` says what to change.
public enum PolicyError: Error, Hashable, Sendable, CustomStringConvertible {
    case replicas(Int)
    case write(Int, replicas: Int)
    case read(Int, replicas: Int)
    case disjoint(read: Int, write: Int, replicas: Int)

    public var description: String {
        switch self {
        case .replicas(let count): "replicas is \(count); use 1 to 9"
        case .write(let count, let replicas):
            "write_quorum is \(count) with \(replicas) replicas; use 1 to \(replicas)"
        case .read(let count, let replicas):
            "read_quorum is \(count) with \(replicas) replicas; use 1 to \(replicas)"
        case .disjoint(let read, let write, let replicas):
            "read_quorum \(read) + write_quorum \(write) must be more than replicas \(replicas), "
                + "or a read could miss the newest write; raise one of them"
        }
    }
}
