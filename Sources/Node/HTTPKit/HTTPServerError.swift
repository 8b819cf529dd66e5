#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// An address on which a server can't listen; `description` says which, why, and what to do.
public struct HTTPServerError: Error, Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: Int
    /// The system's error number.
    public var errno: Int32

    public init(host: String, port: Int, errno: Int32) {
        self.host = host
        self.port = port
        self.errno = errno
    }

    public var description: String {
        let address = "\(host):\(port)"
        switch errno {
        case EADDRINUSE:
            return "\(address) is in use by another process; stop it or configure another listen address"
        case EACCES:
            return "no permission to listen on \(address); use a port of 1024 or more"
        case EADDRNOTAVAIL:
            return "\(host) is no address of this machine; configure another listen address"
        default:
            return "can't listen on \(address): \(String(cString: strerror(errno)))"
        }
    }
}
