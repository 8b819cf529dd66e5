/// Something that must never be, and was.
public struct Violation: Hashable, Sendable, CustomStringConvertible {
    /// What the store promises, and a simulation watches.
    public enum Property: String, Hashable, Sendable, CaseIterable {
        /// The answers about each key have an order that explains them all.
        case linearizability
        /// Versions grow in real time, and each is what its write made of the one before.
        case versions
        /// What was acknowledged or shown is on a write quorum of disks, of every member set in force; what a member says
        /// that it holds, or promises, is on its own.
        case durability
        /// Every operation is answered once; what was refused leaves no trace; reads are never unknown.
        case outcomes
        /// No ballot leads twice, and at most one node leads under one.
        case ballots
        /// What members say of what they hold is true.
        case digests
        /// In calm all members come to hold the same, undamaged, and others nothing.
        case convergence
        /// In calm there is a leader, moves end, and operations are answered within a bound.
        case liveness

        /// Whether it concerns what was answered, rather than whether anything is.
        public var isSafety: Bool { self != .liveness && self != .convergence }
    }

    public let property: Property
    public let text: String

    public init(_ property: Property, _ text: String) {
        self.property = property
        self.text = text
    }

    public var description: String { "\(property.rawValue): \(text)" }
}
