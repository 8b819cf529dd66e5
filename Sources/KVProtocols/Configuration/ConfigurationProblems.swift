/// One thing that is wrong with a configuration.
public struct ConfigurationProblem: Hashable, Sendable {
    /// Where in the configuration, such as `$.nodes[1].backend.type`; empty when it concerns no value.
    public let path: String
    /// What is wrong and what to do about it, on one line.
    public let message: String
    /// Where the value came from; `nil` when that is unknown.
    public let origin: Origin?

    init(path: String, message: String, origin: Origin?) {
        self.path = path
        self.message = message
        self.origin = origin
    }
}

/// Everything that is wrong with a configuration, found in one go. Never empty.
public struct ConfigurationProblems: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name of the text that was read, usually a file.
    public let source: String
    /// In the order in which they were found: the cluster, the controller, the nodes, then relations among them.
    public let problems: [ConfigurationProblem]

    /// How many problems `description` prints.
    public static let printedLimit = 100

    init(source: String, problems: [ConfigurationProblem]) {
        self.source = source
        self.problems = problems
    }

    /// One line for each problem, as compilers print them: `file:line:column: path: message`.
    public var description: String {
        var lines = problems.prefix(ConfigurationProblems.printedLimit).map { problem in
            var parts: [String] = []
            switch problem.origin {
            case .text(let line, let column): parts.append("\(source):\(line):\(column)")
            case .override(let name): parts.append(name)
            case nil: parts.append(source)
            }
            if !problem.path.isEmpty { parts.append(problem.path) }
            parts.append(problem.message)
            return parts.joined(separator: ": ")
        }
        if problems.count > lines.count { lines.append("and \(problems.count - lines.count) more problems") }
        return lines.joined(separator: "\n")
    }
}

/// Collects problems while a configuration is checked.
struct ProblemLog {
    private(set) var problems: [ConfigurationProblem] = []

    mutating func report(_ path: String, _ message: String, at origin: Origin?) {
        // A flag or variable may set the same thing in many places: one line says it.
        if case .override = origin, problems.contains(where: { $0.origin == origin && $0.message == message }) {
            return
        }
        problems.append(ConfigurationProblem(path: path, message: message, origin: origin))
    }

    mutating func report(_ place: Located<some Any>, _ message: String) {
        report(place.path, message, at: place.origin)
    }

    mutating func add(_ others: [ConfigurationProblem]) {
        problems += others
    }
}
