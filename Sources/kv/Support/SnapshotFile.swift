#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Where a snapshot is read from.
struct SnapshotInput {
    private let descriptor: Int32
    private let name: String

    /// A file, or standard input for `-`.
    init(_ path: String) throws(CommandFailure) {
        if path == "-" {
            (descriptor, name) = (STDIN_FILENO, "standard input")
            return
        }
        name = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure(.error, "\(path) can't be opened: \(String(cString: strerror(errno)))")
        }
    }

    /// Up to `count` bytes, none only at the end. The descriptor lives as long as the process.
    func read(_ count: Int) throws -> [UInt8] {
        let descriptor = descriptor
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var result = 0
            repeat {
                #if canImport(Glibc)
                result = Glibc.read(descriptor, buffer.baseAddress, count)
                #else
                result = Darwin.read(descriptor, buffer.baseAddress, count)
                #endif
            } while result < 0 && errno == EINTR
            if result < 0 { failure = errno }
            filled = max(0, result)
        }
        guard failure == 0 else {
            throw CommandFailure(.error, "\(name) can't be read: \(String(cString: strerror(failure)))")
        }
        return bytes
    }
}

/// Where a snapshot is written to: a file that gets its name only when everything is in it and on the disk.
struct SnapshotOutput {
    private let path: String?
    private let temporary: String
    private let descriptor: Int32

    /// A file that does not exist yet, or standard output for `-`.
    init(_ path: String, replacing: Bool) throws(CommandFailure) {
        guard path != "-" else {
            (self.path, temporary, descriptor) = (nil, "", STDOUT_FILENO)
            return
        }
        self.path = path
        temporary = path + ".part"
        if !replacing, access(path, F_OK) == 0 {
            throw CommandFailure(.error, "\(path) exists already; choose another name, or say --replace")
        }
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SnapshotOutput.failure(temporary) }
    }

    func write(_ bytes: [UInt8]) throws {
        guard Terminal.writeAll(bytes, to: descriptor) else { throw SnapshotOutput.failure(path ?? "standard output") }
    }

    /// Makes it durable and gives it its name.
    func finish() throws(CommandFailure) {
        guard let path else { return }
        guard fsync(descriptor) == 0, close(descriptor) == 0, rename(temporary, path) == 0 else {
            throw SnapshotOutput.failure(path)
        }
        let slash = path.lastIndex(of: "/")
        let folder = open(
            slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".", O_RDONLY | O_DIRECTORY)
        guard folder >= 0 else { throw SnapshotOutput.failure(path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw SnapshotOutput.failure(path) }
    }

    /// Removes what was written.
    func abandon() {
        guard path != nil else { return }
        close(descriptor)
        unlink(temporary)
    }

    private static func failure(_ path: String) -> CommandFailure {
        CommandFailure(.error, "\(path) can't be written: \(String(cString: strerror(errno)))")
    }
}
