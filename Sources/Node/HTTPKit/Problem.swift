package import Hummingbird

/// An error as clients see it: `application/problem+json` of RFC 9457, with members of our own.
package struct Problem: Error, Sendable {
    /// What became of the write that was asked for.
    package enum Outcome: String, Sendable {
        /// Nothing was and nothing will be written; it may be tried again.
        case notApplied = "not_applied"
        /// It may take effect now, later or never.
        case unknown
    }

    package var status: HTTPResponse.Status
    /// A stable word for programs: `a-z0-9_`.
    package var code: String
    /// A sentence for a person; never holds a value.
    package var detail: String
    package var outcome: Outcome?
    package var acked: Int?
    package var required: Int?
    /// Fields that belong to this answer, such as `Allow` or `Retry-After`.
    package var headers: HTTPFields
    /// The leader that decided.
    package var leader: String?

    package init(
        _ status: HTTPResponse.Status, _ code: String, _ detail: String, outcome: Outcome? = nil, acked: Int? = nil,
        required: Int? = nil, headers: HTTPFields = [:]
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.outcome = outcome
        self.acked = acked
        self.required = required
        self.headers = headers
    }

    /// Writes the members without the braces, for documents that embed a problem.
    package func write(to json: inout JSONWriter, requestID: String?) {
        json.name("type")
        json.string("urn:kv:problem:\(code)")
        json.name("title")
        json.string(status.reasonPhrase)
        json.name("status")
        json.integer(status.code)
        json.name("detail")
        json.string(detail)
        json.name("code")
        json.string(code)
        if let required {
            json.name("required")
            json.integer(required)
        }
        if let acked {
            json.name("acked")
            json.integer(acked)
        }
        if let outcome {
            json.name("outcome")
            json.string(outcome.rawValue)
        }
        if let requestID {
            json.name("request_id")
            json.string(requestID)
        }
    }

    package func response(requestID: String) -> Response { document(requestID: requestID).response }

    package func document(requestID: String) -> Document {
        var json = JSONWriter(capacity: 384)
        json.beginObject()
        write(to: &json, requestID: requestID)
        json.endObject()
        return Document(
            status, leader: leader, contentType: .problemJSON, fields: Array(headers), body: json.finishBytes())
    }
}

extension Problem {
    package static func badRequest(_ code: String, _ detail: String) -> Problem {
        Problem(.badRequest, code, detail)
    }

    /// - Parameter hint: what would do; a clause that follows a semicolon.
    package static func malformedJSON(_ error: JSONError, hint: String? = nil) -> Problem {
        let hint = hint.map { "; \($0)" } ?? ""
        return Problem(.badRequest, "malformed_json", "the body is not as expected at \(error)\(hint)")
    }

    package static func notFound(path: Substring) -> Problem {
        Problem(.notFound, "unknown_path", "there is nothing at \(path.prefix(200))")
    }

    /// `allowed` as in the `Allow` field: `GET, HEAD`.
    package static func methodNotAllowed(_ allowed: String) -> Problem {
        Problem(
            .methodNotAllowed, "method_not_allowed", "this path knows \(allowed)", headers: [.allow: allowed])
    }

    package static func bodyTooLarge(limit: Int) -> Problem {
        Problem(
            .contentTooLarge, "body_too_large", "the body has more than the \(limit) bytes allowed here",
            outcome: .notApplied)
    }

    static let bodyCutOff = Problem(
        .badRequest, "body_cut_off", "the connection ended before the body did", outcome: .notApplied)

    static let bodyTooSlow = Problem(
        .requestTimeout, "body_too_slow", "the body did not arrive in time", outcome: .notApplied)

    package static func serviceUnavailable(_ code: String, _ detail: String) -> Problem {
        Problem(.serviceUnavailable, code, detail, outcome: .notApplied, headers: [.retryAfter: "1"])
    }
}
