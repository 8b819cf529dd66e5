#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// One TCP connection, blocking; closed when let go of. Belongs to one thread.
final class RawConnection {
    private let descriptor: Int32

    /// - Parameter receiveBuffer: bytes that the system takes for a client that does not; `nil` leaves it to the system.
    init?(port: Int, receiveBuffer: Int? = nil) {
        #if canImport(Glibc)
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
        descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        if let receiveBuffer {
            var size = Int32(receiveBuffer)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { return nil }
    }

    deinit { close(descriptor) }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                #if canImport(Glibc)
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                #else
                Darwin.send(descriptor, $0.baseAddress, $0.count, 0)
                #endif
            }
            if count <= 0 { return }
            sent += count
        }
    }

    /// Says that nothing more will be sent.
    func endInput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// What comes until the server closes, or `limit` bytes; calls `onPart` after each part with how many there are.
    func receive(upTo limit: Int, part: Int = 65_536, onPart: (Int) -> Void = { _ in }) -> [UInt8] {
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: part)
        while result.count < limit {
            let count = recv(descriptor, &buffer, min(buffer.count, limit - result.count), 0)
            if count <= 0 { break }
            result += buffer[..<count]
            onPart(result.count)
        }
        return result
    }
}
