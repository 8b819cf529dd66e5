import KVProtocols

/// What a worker shall do; travels as arguments of its command line.
struct WorkerJob {
    enum Kind: String {
        /// Applies the batches of a workload and marks each one that was acknowledged.
        case workload
        /// Opens what a killed worker left, reads it, and applies one more batch.
        case secondLife
        /// Reads all the time while it applies the batches.
        case readers
        /// Does what `workload` does, expects errors, and judges what the engine makes of them.
        case faults
        /// Opens the folder and tells how its content relates to the workload.
        case inspection
        /// Works with too few file descriptors.
        case descriptors

        /// A worker that takes longer hangs; it is ended. Of `readers` that is a single round of reads.
        var secondsAtMost: UInt32 { self == .readers ? 30 : 300 }
    }

    /// The first of the worker's arguments.
    static let word = "kv-conformance-worker"
    var kind: Kind
    var type: String
    var folder: String
    var seed: UInt64
    var isLong = false
    var options: [String: OptionValue] = [:]

    var arguments: [String] {
        [WorkerJob.word, kind.rawValue, type, folder, String(seed), isLong ? "long" : "short"]
            + options.sorted { $0.key < $1.key }.map { "\($0.key)=\(WorkerJob.text($0.value))" }
    }

    /// - Parameter arguments: those behind `word`.
    init?(_ arguments: [String]) {
        guard arguments.count >= 5, let kind = Kind(rawValue: arguments[0]), let seed = UInt64(arguments[3]) else {
            return nil
        }
        self.init(kind: kind, type: arguments[1], folder: arguments[2], seed: seed, isLong: arguments[4] == "long")
        for argument in arguments[5...] {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let value = WorkerJob.value(parts[1]) else { return nil }
            options[String(parts[0])] = value
        }
    }

    init(
        kind: Kind, type: String, folder: String, seed: UInt64, isLong: Bool, options: [String: OptionValue] = [:]
    ) {
        self.kind = kind
        self.type = type
        self.folder = folder
        self.seed = seed
        self.isLong = isLong
        self.options = options
    }

    /// In the worker: opens the engine in the folder, and marks that.
    func open(_ factory: BackendFactory) throws(StorageError) -> any StorageBackend {
        Mark.opening.write()
        let backend = try factory.open(
            BackendContext(path: folder, partitions: ConformanceSuite.partitions, options: options))
        Mark.opened.write()
        return backend
    }

    private static func text(_ value: OptionValue) -> String {
        switch value {
        case .string(let text): "s\(text)"
        case .integer(let number): "i\(number)"
        case .number(let number): "n\(number)"
        case .boolean(let flag): "b\(flag)"
        }
    }

    private static func value(_ text: Substring) -> OptionValue? {
        let rest = text.dropFirst()
        return switch text.first {
        case "s": .string(String(rest))
        case "i": Int64(rest).map(OptionValue.integer)
        case "n": Double(rest).map(OptionValue.number)
        case "b": Bool(String(rest)).map(OptionValue.boolean)
        default: nil
        }
    }
}

extension ConformanceSuite {
    /// A job for a worker with the engine under test.
    func job(_ kind: WorkerJob.Kind, in folder: String, isLong: Bool = false) -> WorkerJob {
        WorkerJob(kind: kind, type: factory.type, folder: folder, seed: seed, isLong: isLong, options: options)
    }
}
