import ArgumentParser
import Foundation
import KVBackends
import KVNode
import KVProtocols
import KVStorage

/// `kv backend convert`
struct ConvertBackend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Carry a stopped node's data over into another backend.",
        discussion: """
            Stop the node, convert, set backend.type and backend.path in the configuration, start the node: it goes on where it \
            stopped, without learning anything from the others. Everything is read back and compared before the old folder is \
            given up; from then on it can't be opened any more, and may be removed. Interrupted, the same command goes on.
            """)

    @Option(help: ArgumentHelp("The folder of the node's data.", valueName: "folder"), completion: .directory)
    var from: String

    @Option(help: ArgumentHelp("The new backend and its folder, which must be new or empty.", valueName: "type:folder"))
    var to: String

    @Option(help: ArgumentHelp("An option of the new backend; may be repeated.", valueName: "name=value"))
    var option: [String] = []

    @Option(help: ArgumentHelp("An option of the old backend; may be repeated.", valueName: "name=value"))
    var fromOption: [String] = []

    func run() async throws {
        let target = try BackendPlace(to)
        let (source, partitions) = try BackendPlace.existing(from)
        guard source.path != target.path else {
            throw ValidationError(
                "--to needs another folder than --from: nothing is given up before everything is there")
        }
        let old = try BackendOption.parse(fromOption)
        let new = try BackendOption.parse(option)
        let bar = ProgressBar()
        let conversion = StorageConversion(
            from: source.place(options: old), to: target.place(options: new), partitions: partitions)
        let names = { (backend: any StorageBackend) throws(StorageError) in try Node.metadataNames(in: backend) }
        let summary: StorageConversion.Summary
        do {
            summary = try conversion.run(nodeNames: names) { progress in
                bar.show(progress.stage.rawValue, progress.records, of: max(progress.total, progress.records))
            }
        } catch {
            bar.end()
            throw error
        }
        bar.end()
        let records = summary.records == 1 ? "1 record" : "\(summary.records) records"
        Terminal.say(
            summary.records == 0 && summary.wasResumed
                ? "the interrupted conversion was finished" : "\(records) are in \(target.path), read back and compared"
        )
        if summary.inconsistentPartitions > 0 {
            let partitions =
                summary.inconsistentPartitions == 1 ? "1 partition" : "\(summary.inconsistentPartitions) partitions"
            Terminal.say(
                "records of \(partitions) were gone from the old folder's disk, or came back: the node is compared with the "
                    + "other replicas when it starts")
        }
        Terminal.say(
            "now set \"backend\": {\"type\": \"\(target.type)\", \"path\": \"\(target.path)\"} in the configuration; "
                + "\(source.path) is not needed any more and can't be opened again")
    }
}

/// A type of backend and a folder, as commands take them.
struct BackendPlace {
    var type: String
    /// Absolute.
    var path: String

    /// `TYPE:FOLDER`
    init(_ text: String) throws {
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex,
            case let path = String(text[text.index(after: colon)...]), !path.isEmpty
        else { throw ValidationError("'\(text)' is not of the form TYPE:FOLDER, such as lmdb:data/worker1") }
        type = String(text[..<colon])
        self.path = BackendPlace.standard(path)
        _ = try BackendRegistry.factory(type: type)
    }

    init(type: String, path: String) {
        self.type = type
        self.path = BackendPlace.standard(path)
    }

    /// The data folder of a node, by what it says of itself.
    static func existing(_ path: String) throws -> (place: BackendPlace, partitions: Int) {
        let path = standard(path)
        guard try !DataFolder.isBeingSetAside(path) else {
            throw CommandFailure(
                .error,
                "setting the data in \(path) aside was interrupted, it is in two parts; start the node under its new backend "
                    + "once, which moves the rest, then use \(path)/.kv-old-...")
        }
        guard let type = try DataFolder.occupant(of: path), let partitions = try FolderMarker.partitions(of: path)
        else {
            throw CommandFailure(.error, "\(path) is not the data folder of a node")
        }
        return (BackendPlace(type: type, path: path), partitions)
    }

    func place(options: [String: OptionValue]) -> StorageConversion.Place {
        StorageConversion.Place(path: path, type: type) { [type, path] partitions throws(StorageError) in
            try BackendRegistry.open(
                type: type, BackendContext(path: path, partitions: partitions, options: options))
        }
    }

    /// Absolute, so that a folder means the same wherever the next command is called: a converted folder keeps the path of
    /// the one that its data went to.
    private static func standard(_ path: String) -> String {
        // Nothing is no folder, not even this one.
        guard !path.isEmpty else { return path }
        var path = URL(filePath: path).standardizedFileURL.path[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }
}

/// `name=value` on the command line, as `options` has it in the configuration file.
enum BackendOption {
    static func parse(_ texts: [String]) throws -> [String: OptionValue] {
        var options: [String: OptionValue] = [:]
        for text in texts {
            guard let sign = text.firstIndex(of: "="), sign != text.startIndex else {
                throw ValidationError("'\(text)' is not of the form name=value")
            }
            options[String(text[..<sign])] = value(String(text[text.index(after: sign)...]))
        }
        return options
    }

    /// The type that JSON would give it.
    private static func value(_ text: String) -> OptionValue {
        if text == "true" || text == "false" { return .boolean(text == "true") }
        if let integer = Int64(text) { return .integer(integer) }
        if let number = Double(text), number.isFinite { return .number(number) }
        return .string(text)
    }
}
