#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Where the value of `kv put` comes from.
enum ValueSource: Hashable {
    case text(String)
    case standardInput
    case file(String)

    /// No server takes a longer one.
    static let maximumLength = 64 << 20

    /// `-` is standard input, `@file` a file, anything else the value itself.
    init(_ argument: String) {
        if argument == "-" {
            self = .standardInput
        } else if argument.hasPrefix("@"), argument.count > 1 {
            self = .file(String(argument.dropFirst()))
        } else {
            self = .text(argument)
        }
    }

    /// Blocks until everything is read.
    /// - Throws: `CommandFailure` when it can't be read or is longer than any server takes.
    func bytes() throws(CommandFailure) -> [UInt8] {
        switch self {
        case .text(let text): return Array(text.utf8)
        case .standardInput: return try ValueSource.read(STDIN_FILENO, "standard input")
        case .file(let path):
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw CommandFailure(.error, "\(path) can't be opened: \(String(cString: strerror(errno)))")
            }
            defer { close(descriptor) }
            return try ValueSource.read(descriptor, path)
        }
    }

    private static func read(_ descriptor: Int32, _ name: String) throws(CommandFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            #if canImport(Glibc)
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            #else
            let count = Darwin.read(descriptor, &chunk, chunk.count)
            #endif
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw CommandFailure(.error, "\(name) can't be read: \(String(cString: strerror(errno)))")
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= maximumLength else {
                throw CommandFailure(.error, "\(name) has more than the \(maximumLength) bytes that a value may have")
            }
        }
    }
}
