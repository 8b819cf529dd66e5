internal import KVProtocols

/// The binary form of `PartitionState`, little-endian, as the journal and the backend's metadata keep it:
///
///     u8 format (1) | u64 configuration epoch | members | u8 whether previous follows | previous | joined
///     | u64 promised counter | u32 promised node | u64 purge epoch
///
/// where a list of nodes is u16 count, then u32 each, and `joined` is u16 count, then u32 node and u64 epoch each.
enum PartitionStateCodec {
    static let format: UInt8 = 1

    static func encode(_ state: PartitionState) -> [UInt8] {
        var writer = ByteWriter()
        writer.integer(format)
        writer.integer(state.configuration.epoch)
        encode(state.configuration.members, into: &writer)
        writer.integer(UInt8(state.configuration.previous == nil ? 0 : 1))
        if let previous = state.configuration.previous { encode(previous, into: &writer) }
        writer.integer(UInt16(state.configuration.joined.count))
        for joined in state.configuration.joined {
            writer.integer(joined.node.rawValue)
            writer.integer(joined.epoch)
        }
        writer.integer(state.promised.counter)
        writer.integer(state.promised.node.rawValue)
        writer.integer(state.purgeEpoch)
        return writer.bytes
    }

    /// `nil` when the bytes are not exactly one state.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> PartitionState? {
        var reader = ByteReader(bytes)
        guard reader.integer(UInt8.self) == format, let epoch = reader.integer(UInt64.self),
            let members = decodeNodes(&reader), let hasPrevious = reader.integer(UInt8.self), hasPrevious <= 1
        else { return nil }
        var previous: [NodeID]?
        if hasPrevious == 1 {
            guard let nodes = decodeNodes(&reader) else { return nil }
            previous = nodes
        }
        guard let count = reader.integer(UInt16.self) else { return nil }
        var joined: [Configuration.Joined] = []
        for _ in 0..<count {
            guard let node = reader.integer(UInt32.self), let since = reader.integer(UInt64.self) else { return nil }
            joined.append(Configuration.Joined(node: NodeID(node), epoch: since))
        }
        guard let counter = reader.integer(UInt64.self), let node = reader.integer(UInt32.self),
            let purgeEpoch = reader.integer(UInt64.self), reader.isAtEnd
        else { return nil }
        return PartitionState(
            configuration: Configuration(epoch: epoch, members: members, previous: previous, joined: joined),
            promised: Ballot(counter: counter, node: NodeID(node)), purgeEpoch: purgeEpoch)
    }

    private static func encode(_ nodes: [NodeID], into writer: inout ByteWriter) {
        writer.integer(UInt16(nodes.count))
        for node in nodes { writer.integer(node.rawValue) }
    }

    private static func decodeNodes(_ reader: inout ByteReader) -> [NodeID]? {
        guard let count = reader.integer(UInt16.self) else { return nil }
        var nodes: [NodeID] = []
        for _ in 0..<count {
            guard let node = reader.integer(UInt32.self) else { return nil }
            nodes.append(NodeID(node))
        }
        return nodes
    }
}
