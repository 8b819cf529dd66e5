public import KVProtocols

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension ClusterConfiguration {
    /// Reads a file and checks it as `load(text:)` does. `path` is relative to the working directory. Blocks.
    /// - Throws: a problem that says why the file can't be read, or every problem that its text has.
    public static func load(
        path: String, overrides: Overrides = Overrides(), knownBackends: [BackendFactory]
    ) throws(ConfigurationProblems) -> ClusterConfiguration {
        let text: String
        do throws(FileFault) {
            text = try readText(path)
        } catch {
            let problem = ConfigurationProblem(path: "", message: error.message, origin: nil)
            throw ConfigurationProblems(source: path, problems: [problem])
        }
        return try load(text: text, source: path, overrides: overrides, knownBackends: knownBackends)
    }

    private struct FileFault: Error {
        var message: String
    }

    /// One byte more than the reader accepts, so that it is the reader that refuses longer files.
    private static func readText(_ path: String) throws(FileFault) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFault(message: "can't be opened: \(systemMessage(errno))") }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= JSONReader.maximumLength {
            let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileFault(message: "can't be read: \(systemMessage(errno))")
            }
            bytes += chunk[..<count]
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FileFault(message: "is not UTF-8 text")
        }
        return text
    }

    private static func systemMessage(_ code: Int32) -> String { String(cString: strerror(code)) }
}
