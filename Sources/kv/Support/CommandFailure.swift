import ArgumentParser
import AsyncHTTPClient
import KVConfiguration
import KVHTTP
import KVProtocols
import KVSnapshot
import KVTransport

/// Why a command did not do what it was asked, for a person and for scripts.
struct CommandFailure: Error, Hashable {
    enum Code: Int32, Hashable {
        case error = 1
        case notFound = 3
        case preconditionFailed = 4
        /// Nothing was written; it may be tried again.
        case noQuorum = 5
        /// A write may take effect now, later or never.
        case outcomeUnknown = 6
    }

    var code: Code
    /// Empty when everything was said before.
    var message: String
    /// Whether the same request may be answered in a moment: nobody answered, or the server refused for now. Of a write that
    /// may have taken effect it says nothing; the code does.
    var mayPass = false

    init(_ code: Code, _ message: String, mayPass: Bool = false) {
        self.code = code
        self.message = message
        self.mayPass = mayPass
    }

    /// `nil` for what belongs to the parser of arguments: wrong usage, help, and exit codes.
    init?(_ error: any Error) {
        switch error {
        case let failure as CommandFailure: self = failure
        case let problems as ConfigurationProblems: self.init(.error, problems.description)
        case let error as StorageError: self.init(.error, CommandFailure.text(of: error))
        case let error as HTTPServerError: self.init(.error, error.description)
        case let error as SnapshotError: self.init(.error, error.description)
        case let error as PeerNetworkError: self.init(.error, error.message)
        case is ExitCode, is CleanExit, is ValidationError: return nil
        case let error as HTTPClientError: self.init(.error, error.description)
        default:
            // The parser's own errors are of types that it keeps to itself.
            if KV.exitCode(for: error) == .validationFailure { return nil }
            if KV.exitCode(for: error) == .success { return nil }
            self.init(.error, "\(error)")
        }
    }

    private static func text(of error: StorageError) -> String {
        var text = error.message
        if !error.path.isEmpty { text += " [\(error.path)]" }
        if !error.cause.isEmpty { text += " (\(error.cause))" }
        return text
    }
}
