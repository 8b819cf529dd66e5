import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// One address of a cluster, over HTTP: the controller's, which passes keys on, or a node's.
struct StoreClient: Sendable {
    /// The longest value, as base64 in JSON, with its frame.
    static let maximumAnswerLength = 100 << 20

    /// `http://host:port`, without a slash at the end.
    let url: String
    let timeout: Duration

    enum Method: String {
        case get = "GET"
        case put = "PUT"
        case post = "POST"
        case delete = "DELETE"
    }

    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]
        fileprivate var headers: HTTPHeaders

        /// The field's first value; empty when there is none.
        func header(_ name: String) -> String { headers.first(name: name) ?? "" }
    }

    init(url: String, timeout: Duration) {
        var url = url[...]
        while url.hasSuffix("/") { url.removeLast() }
        self.url = url.contains("://") ? String(url) : "http://\(url)"
        self.timeout = timeout
    }

    /// Sends one request and waits for the whole answer, whatever its status. Never sends twice.
    /// - Parameter target: path and query, with everything escaped.
    /// - Throws: `CommandFailure` when there is no answer: `.outcomeUnknown` for a write that may have arrived.
    func send(
        _ method: Method, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) async throws(CommandFailure) -> Answer {
        var request = HTTPClientRequest(url: url + target)
        request.method = HTTPMethod(rawValue: method.rawValue)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        do {
            let response = try await HTTPClient.shared.execute(request, deadline: .now() + TimeAmount(timeout))
            let body = try await response.body.collect(upTo: StoreClient.maximumAnswerLength)
            return Answer(
                status: Int(response.status.code), body: Array(body.readableBytesView), headers: response.headers)
        } catch {
            throw failure(error, isWrite: method != .get)
        }
    }

    /// As `send`, for a status below 300.
    /// - Throws: `CommandFailure` that says what the problem document says, with the code that belongs to it.
    func request(
        _ method: Method, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) async throws(CommandFailure) -> Answer {
        let answer = try await send(method, target, headers: headers, body: body)
        guard answer.status >= 300 else { return answer }
        throw StoreClient.failure(status: answer.status, ProblemDocument(answer.body))
    }

    /// The JSON document at `target`.
    func document<Document: Decodable>(
        _ target: String, as type: Document.Type
    ) async throws(CommandFailure) -> Document {
        try decode(type, from: try await request(.get, target))
    }

    func decode<Document: Decodable>(
        _ type: Document.Type, from answer: Answer
    ) throws(CommandFailure) -> Document {
        do {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode(type, from: Data(answer.body))
        } catch {
            throw CommandFailure(
                .error, "\(url) is no server of this kind, or of another version: its answer can't be read")
        }
    }

    /// What a status and its problem mean for a script.
    static func failure(status: Int, _ problem: ProblemDocument?) -> CommandFailure {
        let message = problem?.summary ?? "the server answered with status \(status)"
        switch status {
        case 404: return CommandFailure(.notFound, message)
        case 412: return CommandFailure(.preconditionFailed, message)
        case 503:
            let isQuorum = noQuorumCodes.contains(problem?.code ?? "")
            return CommandFailure(isQuorum ? .noQuorum : .error, message, mayPass: true)
        case 504: return CommandFailure(.outcomeUnknown, message, mayPass: true)
        // The disk is full, and may have room again.
        case 507: return CommandFailure(.error, message, mayPass: true)
        default: return CommandFailure(.error, message)
        }
    }

    /// Problems that mean: not enough members of the key's partition can be reached at the moment.
    private static let noQuorumCodes: Set<String> = [
        "no_quorum", "no_partition", "electing", "not_leader", "timeout", "no_nodes", "node_unreachable",
    ]

    /// What it means that there is no answer.
    func failure(_ error: any Error, isWrite: Bool) -> CommandFailure {
        let isUnsent: Bool
        var mayPass = true
        var reason = "\(error)"
        if let error = error as? HTTPClientError {
            let isWrong = StoreClient.wrongAddress.contains(error)
            isUnsent = isWrong || error == .connectTimeout
            mayPass = !isWrong && error != .cancelled
            reason = error.shortDescription
        } else if let error = error as? IOError {
            isUnsent = error.errnoCode == ECONNREFUSED
            reason = String(cString: strerror(error.errnoCode))
        } else if error is NIOTooManyBytesError {
            isUnsent = false
            mayPass = false
            reason = "the answer is longer than \(StoreClient.maximumAnswerLength >> 20) MiB"
        } else if error is CancellationError {
            isUnsent = false
            mayPass = false
            reason = "interrupted"
        } else {
            isUnsent = String(describing: type(of: error)) == "NIOConnectionError"
            if isUnsent { reason = "no connection" }
        }
        let message = "no answer from \(url): \(reason)"
        guard isWrite, !isUnsent else { return CommandFailure(.error, message, mayPass: mayPass) }
        return CommandFailure(
            .outcomeUnknown, message + "; the write may take effect now, later or never", mayPass: mayPass)
    }

    /// No other attempt finds another address.
    private static let wrongAddress: [HTTPClientError] = [.invalidURL, .emptyHost, .emptyScheme]
}
