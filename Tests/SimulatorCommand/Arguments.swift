import KVSimulator

/// Something that a person typed and that can't be meant.
struct UsageError: Error {
    let message: String

    init(_ message: String) { self.message = message }
}

/// The words of a command line, taken one by one.
struct Arguments {
    private var words: ArraySlice<String>

    init(_ words: ArraySlice<String>) { self.words = words }

    mutating func next() -> String? { words.popFirst() }

    /// The value that follows a flag.
    mutating func value<T>(of flag: String, _ parse: (String) -> T?) throws(UsageError) -> T {
        guard let word = next() else { throw UsageError("\(flag) needs a value") }
        guard let value = parse(word) else { throw UsageError("\(flag) \(word) makes no sense") }
        return value
    }
}

/// What `run` and `replay` have in common.
struct WorldFlags {
    var options = Simulation.Options()

    /// Takes a flag if it is one of these.
    mutating func take(_ flag: String, _ arguments: inout Arguments) throws(UsageError) -> Bool {
        switch flag {
        case "--profile": options.weather = try arguments.value(of: flag) { Weather(rawValue: $0) }
        case "--mode": options.mode = try arguments.value(of: flag) { Simulation.Mode(rawValue: $0) }
        case "--operations":
            options.operations = try arguments.value(of: flag) { Int($0).flatMap { $0 > 0 ? $0 : nil } }
        default: return false
        }
        return true
    }

    /// How to type them again.
    var text: String {
        var text = options.weather == .swarm ? "" : " --profile \(options.weather.rawValue)"
        if options.mode != .liveness { text += " --mode \(options.mode.rawValue)" }
        if let operations = options.operations { text += " --operations \(operations)" }
        return text
    }
}
