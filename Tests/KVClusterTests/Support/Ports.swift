import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Free ports of this machine, each given once. Below those that systems give to outgoing connections, which would
/// take a port away while its server is restarted.
enum Ports {
    private static let given = Mutex<Set<Int>>([])

    static func free() -> Int {
        given.withLock { given in
            while true {
                let port = Int.random(in: 12_000..<32_000)
                guard !given.contains(port), isFree(port) else { continue }
                given.insert(port)
                return port
            }
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        guard let listener = Listener(port) else { return false }
        listener.close()
        return true
    }
}

/// Holds a port, so that nobody else can.
struct Listener {
    private let descriptor: Int32

    /// `nil` when the port is taken.
    init?(_ port: Int) {
        #if canImport(Glibc)
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        #else
        descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = SocketAddress.loopback(port)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(descriptor, 1) == 0 else {
            close()
            return nil
        }
    }

    func close() {
        #if canImport(Glibc)
        _ = Glibc.close(descriptor)
        #else
        _ = Darwin.close(descriptor)
        #endif
    }
}
