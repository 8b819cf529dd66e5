#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Keeps a second `kv up` away from the same cluster. Held until this object goes, or the process ends.
final class InstanceLock {
    private let descriptor: Int32

    /// - Parameter path: a file that is created beside the controller's data folder and holds the process's number.
    /// - Throws: `CommandFailure` that names the process which holds it.
    init(path: String) throws(CommandFailure) {
        try LogFile.createParents(of: path)
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CommandFailure(.error, "can't open \(path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            var buffer = [UInt8](repeating: 0, count: 32)
            let count = max(0, read(descriptor, &buffer, buffer.count))
            close(descriptor)
            let holder = String(decoding: buffer[..<count].prefix { $0 > 0x20 }, as: UTF8.self)
            throw CommandFailure(
                .error,
                "this cluster is running already: process \(holder.isEmpty ? "(unknown)" : holder) holds \(path); "
                    + "stop that one, or give this one another configuration")
        }
        ftruncate(descriptor, 0)
        let text = Array("\(getpid())\n".utf8)
        pwrite(descriptor, text, text.count, 0)
    }

    deinit { close(descriptor) }
}
