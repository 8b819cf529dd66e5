import AsyncHTTPClient
import Foundation
import KVNode
import KVProtocols
import NIOCore
import NIOHTTP1
import NIOPosix

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Heartbeats as JSON over HTTP.
struct HTTPControllerLink: ControllerLink {
    /// A heartbeat that takes longer is given up; the next one comes soon.
    static let timeout = TimeAmount.seconds(2)
    /// An answer holds at most one cluster map.
    static let maximumAnswerLength = 16 << 20

    /// `host:port` of the controller.
    let address: String
    let client: HTTPClient

    /// Gives `body` a client for one address that is asked again and again, and ends it whatever becomes of `body`.
    static func withClient(
        _ group: any EventLoopGroup, _ body: (HTTPClient) async throws -> Void
    ) async throws {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(1), read: timeout),
            connectionPool: .init(idleTimeout: .seconds(10)))
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        let client = HTTPClient(eventLoopGroup: group, configuration: configuration)
        do {
            try await body(client)
        } catch {
            // The first error is the one to tell.
            do { try await client.shutdown() } catch {}
            throw error
        }
        try await client.shutdown()
    }

    func heartbeat(_ heartbeat: Heartbeat) async throws -> HeartbeatReply {
        var request = HTTPClientRequest(url: "http://\(address)/internal/heartbeat")
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(heartbeat)))
        let status: HTTPResponseStatus
        let body: ByteBuffer
        do {
            let response = try await client.execute(request, deadline: .now() + HTTPControllerLink.timeout)
            status = response.status
            body = try await response.body.collect(upTo: HTTPControllerLink.maximumAnswerLength)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw ControllerLinkError(address: address, reason: ControllerLinkError.reason(of: error))
        }
        guard status == .ok else {
            let detail = ProblemDocument(Array(body.readableBytesView)).map { ": \($0.summary)" } ?? ""
            throw ControllerLinkError(address: address, reason: "status \(status.code)\(detail)")
        }
        do {
            return try JSONDecoder().decode(HeartbeatReply.self, from: Data(body.readableBytesView))
        } catch {
            throw ControllerLinkError(
                address: address, reason: "what answers there is no controller of this version")
        }
    }
}

/// Why a heartbeat had no answer.
struct ControllerLinkError: Error, CustomStringConvertible {
    var address: String
    var reason: String

    var description: String { "\(address): \(reason)" }

    /// What went wrong in words for a person; the library's own are for its authors.
    static func reason(of error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let cause = error.connectionErrors.first?.error { return reason(of: cause) }
            return "no machine of the name \(error.host) is known"
        case let error as IOError:
            return String(cString: strerror(error.errnoCode)).lowercased()
        case let error as ChannelError:
            if case .connectTimeout = error { return "no connection in time" }
            return "the connection broke"
        case let error as HTTPClientError:
            return reason(of: error)
        case is NIOTooManyBytesError:
            return "its answer is longer than a cluster map can be"
        default:
            return "the connection failed"
        }
    }

    private static func reason(of error: HTTPClientError) -> String {
        if error == .connectTimeout { return "no connection in time" }
        if error == .deadlineExceeded || error == .readTimeout { return "no answer in time" }
        if error == .remoteConnectionClosed { return "the connection was closed before an answer came" }
        return "the connection broke"
    }
}
