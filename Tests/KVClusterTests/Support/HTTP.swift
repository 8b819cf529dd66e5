import Dispatch
import Foundation

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Speaks HTTP/1.1 byte by byte to one address, so that nothing is made nicer on the way.
struct HTTP: Sendable {
    let port: Int
    /// Seconds of silence after which a server is taken for dead.
    var patience = 30

    struct Answer: Sendable {
        var status: Int
        /// By lower-case name.
        var headers: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        /// The body as JSON; `null` when it is none.
        var json: JSON { (try? JSON(body)) ?? .null }
        var etag: String? { headers["etag"] }
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private static let queue = DispatchQueue(label: "kv-test-http", attributes: .concurrent)

    /// Sends one request over a connection of its own.
    /// - Parameter target: path and query as they are to stand in the request.
    /// - Throws: `Failure` when no whole answer came.
    func callAsFunction(
        _ method: String, _ target: String, _ headers: [String: String] = [:], body: [UInt8]? = nil
    ) async throws -> Answer {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: localhost:\(port)\r\nConnection: close\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.count)\r\n" }
        let bytes = Array((text + "\r\n").utf8) + (body ?? [])
        return try await withCheckedThrowingContinuation { continuation in
            HTTP.queue.async {
                continuation.resume(with: Result { try HTTP.parse(exchange(bytes), isHead: method == "HEAD") })
            }
        }
    }

    func get(_ target: String, _ headers: [String: String] = [:]) async throws -> Answer {
        try await self("GET", target, headers)
    }

    /// Puts a value as JSON.
    func put(
        _ key: String, _ value: String, query: String = "", _ headers: [String: String] = [:]
    ) async throws -> Answer {
        let body = "{\"value\":\"\(value)\"}"
        return try await self(
            "PUT", "/kv/\(key)\(query)", headers.merging(["Content-Type": "application/json"]) { own, _ in own },
            body: Array(body.utf8))
    }

    private func exchange(_ bytes: [UInt8]) throws -> [UInt8] {
        #if canImport(Glibc)
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
        let socket = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        defer { close(socket) }
        var timeout = timeval()
        timeout.tv_sec = patience
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(socket, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = SocketAddress.loopback(port)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Failure(description: "\(port): \(String(cString: strerror(errno)))") }
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { send(socket, $0.baseAddress, $0.count, HTTP.noSignal) }
            // A server that refuses a body early still answers.
            if count <= 0 { break }
            sent += count
        }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return result }
            result += buffer[..<count]
        }
    }

    #if canImport(Glibc)
    private static let noSignal = Int32(MSG_NOSIGNAL)
    #else
    private static let noSignal: Int32 = 0
    #endif

    private static func parse(_ bytes: [UInt8], isHead: Bool) throws -> Answer {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw Failure(description: "the connection ended after \(bytes.count) bytes of an answer")
        }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        guard let status = lines[0].split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Failure(description: "no status in: \(lines[0])")
        }
        let rest = Array(bytes[end.upperBound...])
        if status == 100 { return try parse(rest, isHead: isHead) }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            headers[parts[0].lowercased()] = parts.last.map { String($0.drop { $0 == " " }) }
        }
        var body = rest
        if headers["transfer-encoding"] == "chunked" {
            body = try unchunked(rest)
        } else if !isHead, let length = headers["content-length"].flatMap({ Int($0) }), length != rest.count {
            throw Failure(description: "\(rest.count) of \(length) bytes of an answer's body")
        }
        return Answer(status: status, headers: headers, body: body)
    }

    private static func unchunked(_ bytes: [UInt8]) throws -> [UInt8] {
        var rest = bytes[...]
        var body: [UInt8] = []
        while let lineEnd = rest.firstRange(of: [13, 10]) {
            let line = String(decoding: rest[..<lineEnd.lowerBound], as: UTF8.self)
            guard let count = Int(line, radix: 16), rest[lineEnd.upperBound...].count >= count + 2 else { break }
            if count == 0 { return body }
            body += rest[lineEnd.upperBound..<lineEnd.upperBound + count]
            rest = rest[(lineEnd.upperBound + count + 2)...]
        }
        throw Failure(description: "a chunked body without its end")
    }
}

enum SocketAddress {
    static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }
}
