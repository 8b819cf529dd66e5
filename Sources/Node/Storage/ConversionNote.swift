internal import KVProtocols

/// What is converted into what, and in which state it is: stands in the folder that is converted into until its data is
/// complete and handed over, so that no other conversion is taken up there.
struct ConversionNote: Equatable {
    /// Of the data, which keeps it.
    var identity: UInt64
    /// Up to where the data counts; a node that went on with it has a higher one.
    var position: UInt64
    var sourceType: String
    var targetType: String
    var partitions: Int

    var text: String { "\(identity) \(position) \(sourceType) \(targetType) \(partitions)" }

    init(identity: UInt64, position: UInt64, sourceType: String, targetType: String, partitions: Int) {
        self.identity = identity
        self.position = position
        self.sourceType = sourceType
        self.targetType = targetType
        self.partitions = partitions
    }

    init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 5, let identity = UInt64(words[0]), let position = UInt64(words[1]),
            let partitions = Int(words[4])
        else { return nil }
        self.init(
            identity: identity, position: position, sourceType: String(words[2]), targetType: String(words[3]),
            partitions: partitions)
    }
}
