internal import HTTPTypes
internal import Hummingbird
package import NIOCore

/// Reads the body of one request within limits of size and time. Belongs to the one task that serves the request.
package final class BodyReader {
    private let request: Request
    private let limits: HTTPServerLimits
    private let started: ContinuousClock.Instant
    private var iterator: RequestBody.AsyncIterator?
    private var isAtEnd: Bool
    private var length = 0
    /// As announced by the client, in bytes; `nil` for a chunked body.
    package let announcedLength: Int?

    init(_ request: Request, limits: HTTPServerLimits) {
        self.request = request
        self.limits = limits
        started = .now
        let fields = request.head.headerFields
        announcedLength = fields[.contentLength].flatMap { Int($0) }
        isAtEnd = (announcedLength ?? 0) == 0 && !fields.contains(.transferEncoding)
    }

    /// Whether the request has a body that was not read to its end.
    package var hasMore: Bool { !isAtEnd }

    /// Reads the whole body.
    /// - Throws: 413 as soon as it has, or announces, more than `limit` bytes; 408 when it arrives too slowly; 400 when the
    ///   connection ends before the body does.
    package func collect(upTo limit: Int) async throws -> ByteBuffer {
        if let announcedLength, announcedLength > limit {
            // Clients that only look for an answer once they have sent everything get to see it.
            if announcedLength <= limits.maximumDiscardedLength { _ = try await discardRest() }
            throw Problem.bodyTooLarge(limit: limit)
        }
        guard var body = try await next() else { return ByteBuffer() }
        guard body.readableBytes <= limit else { throw Problem.bodyTooLarge(limit: limit) }
        while var part = try await next() {
            guard body.readableBytes + part.readableBytes <= limit else { throw Problem.bodyTooLarge(limit: limit) }
            body.writeBuffer(&part)
            let allowed = limits.bodyTimeout + .seconds(body.readableBytes >> 16)
            guard ContinuousClock.now - started < allowed else { throw Problem.bodyTooSlow }
        }
        return body
    }

    /// Reads and drops what is left, within bounds, so that the client gets to see the answer.
    /// Returns whether the connection may be used for another request.
    func discardRest() async throws -> Bool {
        var discarded = 0
        let deadline = ContinuousClock.now + limits.bodyTimeout
        while !isAtEnd {
            guard let part = try await next() else { break }
            discarded += part.readableBytes
            guard discarded <= limits.maximumDiscardedLength, ContinuousClock.now < deadline else { return false }
        }
        return true
    }

    /// The end of a connection is no end of a body, which is where Hummingbird makes no difference: announced lengths are
    /// compared here, and of a body in chunks `ConnectionGuard` tells by an error.
    private func next() async throws -> ByteBuffer? {
        guard !isAtEnd else { return nil }
        var current = iterator ?? request.body.makeAsyncIterator()
        let part: ByteBuffer?
        do {
            part = try await current.next()
        } catch {
            isAtEnd = true
            throw Problem.bodyCutOff
        }
        iterator = current
        length += part?.readableBytes ?? 0
        if part == nil {
            isAtEnd = true
            if let announcedLength, length < announcedLength { throw Problem.bodyCutOff }
        }
        return part
    }
}
