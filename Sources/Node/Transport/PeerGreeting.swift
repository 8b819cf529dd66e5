internal import KVProtocols
internal import NIOCore

/// The kind byte of a frame.
enum PeerFrameKind: UInt8 {
    /// From the one who dialled, first of all.
    case hello = 1
    /// The answer of the one who was dialled, in the same form.
    case welcome = 2
    /// Instead of a welcome; the connection is closed afterwards.
    case turnedAway = 3
    /// Says that the sender lives, when it has nothing else to say.
    case ping = 4
    case messages = 5
}

/// Who opens or answers a connection, and whom it takes the other side for.
struct PeerHello: Hashable {
    static let protocolVersion: UInt16 = 2
    private static let magic: UInt32 = 0x4C50_564B
    private static let maximumNameLength = 256

    var identity: NodeIdentity
    /// The node that the sender believes to talk to.
    var meant: NodeID
    /// Grows with each connection that a process dials: the older of two connections is the one with the lower number.
    var generation: UInt64

    func frame(_ kind: PeerFrameKind, allocator: ByteBufferAllocator) -> ByteBuffer {
        let name = Array(identity.name.utf8.prefix(PeerHello.maximumNameLength))
        var buffer = allocator.buffer(capacity: 64 + name.count)
        buffer.writeInteger(UInt32(49 + name.count), endianness: .little)
        buffer.writeInteger(kind.rawValue)
        buffer.writeInteger(PeerHello.magic, endianness: .little)
        buffer.writeInteger(PeerHello.protocolVersion, endianness: .little)
        buffer.writeInteger(identity.cluster, endianness: .little)
        buffer.writeInteger(identity.node.rawValue, endianness: .little)
        buffer.writeInteger(identity.incarnation, endianness: .little)
        buffer.writeInteger(identity.boot, endianness: .little)
        buffer.writeInteger(meant.rawValue, endianness: .little)
        buffer.writeInteger(generation, endianness: .little)
        buffer.writeInteger(UInt16(name.count), endianness: .little)
        buffer.writeBytes(name)
        return buffer
    }

    init(identity: NodeIdentity, meant: NodeID, generation: UInt64) {
        self.identity = identity
        self.meant = meant
        self.generation = generation
    }

    /// Magic and version come first and stay there in every version, so that versions can tell each other apart.
    init(_ content: UnsafeRawBufferPointer) throws(PeerCodecError) {
        var reader = PeerReader(content)
        guard try reader.number(UInt32.self) == PeerHello.magic else { throw .malformed(.hello) }
        let version = try reader.number(UInt16.self)
        guard version == PeerHello.protocolVersion else { throw .protocolVersion(version) }
        let cluster = try reader.number(UInt64.self)
        let node = NodeID(try reader.number(UInt32.self))
        let incarnation = try reader.number(UInt64.self)
        let boot = try reader.number(UInt64.self)
        meant = NodeID(try reader.number(UInt32.self))
        generation = try reader.number(UInt64.self)
        let length = Int(try reader.number(UInt16.self))
        guard length <= PeerHello.maximumNameLength else { throw .malformed(.hello) }
        // A name cut off in the middle of a character is shown with a replacement character: it is for people only.
        let name = String(decoding: try reader.take(length), as: UTF8.self)
        guard reader.left == 0 else { throw .trailingBytes(reader.left) }
        identity = NodeIdentity(cluster: cluster, node: node, name: name, incarnation: incarnation, boot: boot)
    }
}

/// Frames that are only a text, or nothing.
enum PeerNotice {
    private static let maximumTextLength = 1024

    static func ping(allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: PeerCodec.prefixLength)
        buffer.writeInteger(1 as UInt32, endianness: .little)
        buffer.writeInteger(PeerFrameKind.ping.rawValue)
        return buffer
    }

    static func turnedAway(_ reason: String, allocator: ByteBufferAllocator) -> ByteBuffer {
        let text = Array(reason.utf8.prefix(maximumTextLength))
        var buffer = allocator.buffer(capacity: PeerCodec.prefixLength + text.count)
        buffer.writeInteger(UInt32(1 + text.count), endianness: .little)
        buffer.writeInteger(PeerFrameKind.turnedAway.rawValue)
        buffer.writeBytes(text)
        return buffer
    }

    static func reason(_ content: UnsafeRawBufferPointer) -> String {
        String(decoding: content.prefix(maximumTextLength), as: UTF8.self)
    }
}
