public import KVProtocols

/// What is wrong with bytes that a peer sent. The connection they came over is closed.
public enum PeerCodecError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The part of a frame that could not be read.
    public enum Field: String, Hashable, Sendable {
        case frame, hello, message, record, operation, condition, outcome, refusal, rejection, replica, flag, version
    }

    /// A part is longer than what is left of the frame.
    case truncated
    /// A frame that claims to be empty, or longer than a frame may be.
    case frameLength(UInt32)
    /// A kind that this protocol version does not know.
    case unknownTag(Field, UInt8)
    /// A part that can't be read as what it should be.
    case malformed(Field)
    case key(KeyError)
    /// This many bytes are left behind the last part.
    case trailingBytes(Int)
    /// The other side speaks another version of the protocol.
    case protocolVersion(UInt16)

    public var description: String {
        switch self {
        case .truncated: "a part of the frame is longer than what is left of the frame"
        case .frameLength(let length): "a frame can't be \(length) bytes long here"
        case .unknownTag(let field, let tag): "unknown \(field.rawValue) kind \(tag)"
        case .malformed(let field): "malformed \(field.rawValue)"
        case .key(let error): "invalid key: \(error)"
        case .trailingBytes(let count): "\(count) bytes too many at the end of the frame"
        case .protocolVersion(let version):
            "protocol version \(version) instead of \(PeerHello.protocolVersion); run the same release on every node"
        }
    }
}
