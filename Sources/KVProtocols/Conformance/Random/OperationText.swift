import KVProtocols

/// Operations as lines of text. A batch is `apply` with its operations indented below it:
///
///     apply
///       put "key" 1.1.1 0 41*10,42
///       purge "key"
///       metadata node alpha -
///       wipe 3
///     scan 3 after "a" prefix 6b limit 5 values
///     reopen
///
/// A record is its version, its expiry and its value: runs of bytes in hexadecimal with how often, `empty`, or `-` for a
/// tombstone (and for metadata that is removed).
enum OperationText {
    static func quoted(_ key: Key) -> String {
        var text = "\""
        for byte in key.bytes {
            let isPlain = 0x21...0x7E ~= byte && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "%")
            if isPlain {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%" + hex(byte)
            }
        }
        return text + "\""
    }

    static func scope(_ scope: MetadataScope) -> String {
        switch scope {
        case .node: "node"
        case .partition(let partition): "\(partition.rawValue)"
        }
    }

    private static func hex(_ byte: UInt8) -> String {
        let text = String(byte, radix: 16)
        return text.count == 1 ? "0" + text : text
    }

    private static func value(_ bytes: [UInt8]?) -> String {
        guard let bytes else { return "-" }
        if bytes.isEmpty { return "empty" }
        var runs: [(byte: UInt8, count: Int)] = []
        for byte in bytes {
            if runs.last?.byte == byte { runs[runs.count - 1].count += 1 } else { runs.append((byte, 1)) }
        }
        return runs.map { $0.count == 1 ? hex($0.byte) : "\(hex($0.byte))*\($0.count)" }.joined(separator: ",")
    }

    static func text(_ operation: StorageOperation) -> String {
        switch operation {
        case .put(_, let key, let record):
            "put \(quoted(key)) \(record.version) \(record.expiresAt) \(value(record.value))"
        case .purge(_, let key): "purge \(quoted(key))"
        case .metadata(let scope, let name, let bytes): "metadata \(self.scope(scope)) \(name) \(value(bytes))"
        case .wipe(let partition): "wipe \(partition.rawValue)"
        }
    }

    static func text(_ step: ScriptStep) -> String {
        switch step {
        case .apply(let batch): return (["apply"] + batch.map { "  " + text($0) }).joined(separator: "\n")
        case .read(let key): return "read \(quoted(key))"
        case .version(let key): return "version \(quoted(key))"
        case .metadata(let scope, let name): return "metadata \(self.scope(scope)) \(name)"
        case .statistics: return "statistics"
        case .reopen: return "reopen"
        case .scan(let request):
            var text = "scan \(request.partition.rawValue)"
            if let after = request.after { text += " after \(quoted(after))" }
            if !request.prefix.isEmpty { text += " prefix \(value(request.prefix))" }
            return text + " limit \(request.limit)\(request.values ? " values" : "")"
        }
    }

    // MARK: Reading

    static func key(_ text: Substring) -> Key? {
        guard text.count >= 2, text.first == "\"", text.last == "\"" else { return nil }
        var bytes: [UInt8] = []
        var rest = text.utf8.dropFirst().dropLast()
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return Key(unchecked: bytes)
    }

    /// Bytes, or nothing for `-`; `nil` when it is neither.
    static func bytes(_ text: Substring) -> [UInt8]?? {
        if text == "-" { return .some(nil) }
        if text == "empty" { return [] }
        var result: [UInt8] = []
        for run in text.split(separator: ",") {
            let parts = run.split(separator: "*")
            guard let byte = parts.first.flatMap({ UInt8($0, radix: 16) }) else { return nil }
            let count = parts.count == 2 ? Int(parts[1]) : 1
            guard let count, 1...(64 << 20) ~= count else { return nil }
            result += [UInt8](repeating: byte, count: count)
        }
        return result
    }

    static func scope(_ text: Substring) -> MetadataScope? {
        text == "node" ? .node : UInt16(text).map { .partition(PartitionID($0)) }
    }

    static func operation(_ words: [Substring]) -> StorageOperation? {
        switch (words.first, words.count) {
        case ("put", 5):
            guard let key = key(words[1]), let version = Version(words[2]), let expiry = UInt64(words[3]),
                let value = bytes(words[4])
            else { return nil }
            return .put(key.partition, key, Record(key: key, version: version, value: value, expiresAt: expiry))
        case ("purge", 2): return key(words[1]).map { .purge($0.partition, $0) }
        case ("wipe", 2): return UInt16(words[1]).map { .wipe(PartitionID($0)) }
        case ("metadata", 4):
            guard let scope = scope(words[1]), let value = bytes(words[3]) else { return nil }
            return .metadata(scope, String(words[2]), value)
        default: return nil
        }
    }

    static func step(_ words: [Substring]) -> ScriptStep? {
        switch (words.first, words.count) {
        case ("apply", 1): return .apply([])
        case ("read", 2): return key(words[1]).map(ScriptStep.read)
        case ("version", 2): return key(words[1]).map(ScriptStep.version)
        case ("metadata", 3): return scope(words[1]).map { .metadata($0, String(words[2])) }
        case ("statistics", 1): return .statistics
        case ("reopen", 1): return .reopen
        case ("scan", _): return request(words)
        default: return nil
        }
    }

    private static func request(_ words: [Substring]) -> ScriptStep? {
        guard words.count >= 2, let partition = UInt16(words[1]) else { return nil }
        var request = ScanRequest(partition: PartitionID(partition), limit: 1, values: false)
        var rest = words.dropFirst(2)
        while let word = rest.popFirst() {
            if word == "values" {
                request.values = true
                continue
            }
            guard let argument = rest.popFirst() else { return nil }
            switch word {
            case "after":
                guard let after = key(argument) else { return nil }
                request.after = after
            case "prefix":
                guard case .some(.some(let prefix)) = bytes(argument) else { return nil }
                request.prefix = prefix
            case "limit":
                guard let limit = Int(argument), limit > 0 else { return nil }
                request.limit = limit
            default: return nil
            }
        }
        return .scan(request)
    }
}

extension OperationScript: CustomStringConvertible {
    /// One line for each step and each operation.
    public var description: String { steps.map { OperationText.text($0) }.joined(separator: "\n") }

    /// Reads what `description` wrote; empty lines and those that begin with `#` are skipped.
    /// - Throws: `ConformanceFailure` with the line that can't be understood.
    public init(_ text: String) throws(ConformanceFailure) {
        steps = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.isEmpty || line.hasPrefix("#") { continue }
            if line.hasPrefix(" "), case .apply(let batch)? = steps.last, let operation = OperationText.operation(words)
            {
                steps[steps.count - 1] = .apply(batch + [operation])
            } else if !line.hasPrefix(" "), let step = OperationText.step(words) {
                steps.append(step)
            } else {
                throw ConformanceFailure("this line of the script can't be understood: \(line)")
            }
        }
    }
}
