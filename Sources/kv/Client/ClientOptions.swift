import ArgumentParser
import Foundation

/// Which cluster, and how long to wait.
struct TargetOptions: ParsableArguments {
    static let standardURL = "http://127.0.0.1:8000"

    @Option(help: "The controller or a node; else KV_URL, else \(TargetOptions.standardURL).")
    var url: String?

    @Option(help: ArgumentHelp("How long the operation may take, in milliseconds.", valueName: "ms"))
    var timeout = 5_000

    func validate() throws {
        guard 1...60_000 ~= timeout else { throw ValidationError("--timeout takes 1 to 60000 milliseconds") }
    }

    /// Waits a little longer than the server, which knows better how an operation ended.
    var client: StoreClient {
        let environment = ProcessInfo.processInfo.environment["KV_URL"]
        let url = url ?? environment.flatMap { $0.isEmpty ? nil : $0 } ?? TargetOptions.standardURL
        return StoreClient(url: url, timeout: .milliseconds(timeout + 3_000))
    }

    /// The target of an operation on `key`.
    func target(_ key: String, suffix: String = "", _ parameters: [(String, String?)] = []) throws -> String {
        guard !key.isEmpty else { throw ValidationError("the key is empty; a key has 1 to 480 bytes") }
        return query("/kv/\(key.percentEncoded)\(suffix)", [("timeout", String(timeout))] + parameters)
    }

    /// `path` with those parameters that have a value.
    func query(_ path: String, _ parameters: [(String, String?)]) -> String {
        let pairs = parameters.compactMap { name, value in value.map { "\(name)=\($0.percentEncoded)" } }
        return pairs.isEmpty ? path : path + "?" + pairs.joined(separator: "&")
    }
}

/// In which form a result is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    /// The bare value, or one a line.
    case raw
    /// For a person.
    case table
    /// As the server says it.
    case json
}

struct OutputOptions: ParsableArguments {
    @Option(name: [.customShort("o"), .long], help: "raw, table or json.")
    var output: OutputFormat?
}

extension StoreClient.Answer {
    /// The server's own document, with a line end.
    func printJSON() {
        var bytes = body
        if bytes.last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
        Terminal.write(bytes)
    }
}
