/// What one member must never forget about a partition, besides its records.
public struct PartitionState: Hashable, Sendable, Codable {
    public var configuration: Configuration
    /// No message of a lower ballot is answered.
    public var promised: Ballot
    /// No message of a lower purge epoch is answered: it may carry what was purged.
    public var purgeEpoch: UInt64

    public static let empty = PartitionState(configuration: .none, promised: .zero, purgeEpoch: 0)

    public init(configuration: Configuration, promised: Ballot, purgeEpoch: UInt64) {
        self.configuration = configuration
        self.promised = promised
        self.purgeEpoch = purgeEpoch
    }

    private enum CodingKeys: String, CodingKey {
        case configuration, promised
        case purgeEpoch = "purge_epoch"
    }
}
