import KVConfiguration
import Logging

/// Writes log records to standard error, one line each: for a person or as JSON.
struct ProcessLog: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    let format: LogConfiguration.Format

    init(_ configuration: LogConfiguration) {
        logLevel = Logger.Level(rawValue: configuration.level.rawValue) ?? .notice
        format = configuration.format
    }

    /// A logger of this kind.
    static func logger(_ configuration: LogConfiguration) -> Logger {
        Logger(label: "kv") { _ in ProcessLog(configuration) }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let more = event.metadata { fields.merge(more) { _, new in new } }
        if let error = event.error { fields["error"] = "\(error)" }
        let line = LogLine(
            time: WallClock.now(), level: event.level, message: event.message.description,
            fields: fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value.description) })
        let text = format == .json ? line.json : line.text
        Terminal.write(Array((text + "\n").utf8), to: .error)
    }
}

/// One record of a log as text.
struct LogLine {
    /// ISO 8601 in UTC with milliseconds.
    var time: String
    var level: Logger.Level
    var message: String
    var fields: [(name: String, value: String)]

    /// `TIME LEVEL message name=value name="value with spaces"`
    var text: String {
        var line = "\(time) \(level.rawValue.uppercased()) \(Terminal.printable(message))"
        for (name, value) in fields {
            let isPlain =
                !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") }
            let shown = Terminal.printable(value)
            line += " \(name)=" + (isPlain ? shown : "\"" + shown.split(separator: "\"").joined(separator: "'") + "\"")
        }
        return line
    }

    /// One object: `time`, `level`, `message`, then the fields.
    var json: String {
        var members = [("time", time), ("level", level.rawValue), ("message", message)]
        for (name, value) in fields where !members.contains(where: { $0.0 == name }) { members.append((name, value)) }
        return "{" + members.map { "\(LogLine.quoted($0)):\(LogLine.quoted($1))" }.joined(separator: ",") + "}"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// The level of a line that `text` or `json` wrote; `nil` for any other line.
    static func level(of line: some StringProtocol) -> Logger.Level? {
        if line.hasPrefix("{\"time\":\"") {
            let parts = line.split(separator: "\"", maxSplits: 8, omittingEmptySubsequences: false)
            guard parts.count > 7, parts[5] == "level" else { return nil }
            return Logger.Level(rawValue: String(parts[7]))
        }
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count > 1, parts[0].hasSuffix("Z") else { return nil }
        return Logger.Level(rawValue: parts[1].lowercased())
    }
}
