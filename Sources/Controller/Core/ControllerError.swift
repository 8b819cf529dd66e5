/// Why the controller did not do what it was asked.
public struct ControllerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable names: they appear in problem documents.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// No node of that name (404).
        case unknownNode = "unknown_node"
        /// It would leave too few nodes, or contradicts what is under way (409).
        case conflict
        /// Ask again soon (503): no map yet, or it is not yet clear which of two processes is the node.
        case notReady = "not_ready"
        /// The controller's own state can't be stored or trusted (503); nothing was changed.
        case unavailable
        /// The text is no key (400); nodes use the same word.
        case badKey = "bad_key"
    }

    public var code: Code
    /// What happened and what to do about it.
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "\(code.rawValue): \(message)" }
}
