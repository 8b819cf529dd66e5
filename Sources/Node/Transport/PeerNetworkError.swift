/// Why the links could not be started.
public struct PeerNetworkError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        case addressInUse = "address_in_use"
        case cannotListen = "cannot_listen"
        /// `start` was called before.
        case started
        case closed
    }

    public var code: Code
    /// What happened and what to do about it.
    public var message: String
    /// The system's own word; empty when there is none.
    public var cause: String

    public init(_ code: Code, _ message: String, cause: String = "") {
        self.code = code
        self.message = message
        self.cause = cause
    }

    public var description: String {
        cause.isEmpty ? "\(code.rawValue): \(message)" : "\(code.rawValue): \(message) (\(cause))"
    }
}
