#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The log of one process, beside its data folder: `data/worker1.log` for `data/worker1`. At 16 MiB it becomes
/// `data/worker1.log.1`, and a new one begins: two files at most.
///
/// Used by one thread at a time.
final class LogFile {
    static let maximumLength = 16 << 20

    let path: String
    private var descriptor: Int32 = -1
    private var length = 0

    /// Creates missing folders.
    /// - Throws: `CommandFailure` when the file can't be written.
    init(path: String) throws(CommandFailure) {
        self.path = path
        try LogFile.createParents(of: path)
        guard open() else {
            throw CommandFailure(.error, "can't write the log \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Adds a line. A full disk loses it: the log is not what the disk is for.
    func append(_ line: some StringProtocol) {
        let bytes = Array(line.utf8) + [UInt8(ascii: "\n")]
        if length + bytes.count > LogFile.maximumLength { rotate() }
        guard descriptor >= 0, Terminal.writeAll(bytes, to: descriptor) else { return }
        length += bytes.count
    }

    private func open() -> Bool {
        #if canImport(Glibc)
        descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        #else
        descriptor = Darwin.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        #endif
        guard descriptor >= 0 else { return false }
        length = max(0, Int(lseek(descriptor, 0, SEEK_END)))
        return true
    }

    private func rotate() {
        if descriptor >= 0 { close(descriptor) }
        rename(path, path + ".1")
        _ = open()
    }

    static func createParents(of path: String) throws(CommandFailure) {
        var folder = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
            folder += part + "/"
            guard folder == "/" || mkdir(folder, 0o700) == 0 || errno == EEXIST else {
                throw CommandFailure(.error, "can't create the folder \(folder): \(String(cString: strerror(errno)))")
            }
        }
    }
}
