#if os(Linux)
import CTrace
#endif
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension FileTree {
    /// Copies what is in a folder into an empty one: files, folders and extended attributes.
    static func copy(_ source: String, to target: String) throws {
        for name in names(source) {
            let (from, to) = ("\(source)/\(name)", "\(target)/\(name)")
            var status = stat()
            guard lstat(from, &status) == 0 else { throw failure(from) }
            if status.st_mode & S_IFMT == S_IFDIR {
                guard mkdir(to, 0o700) == 0 else { throw failure(to) }
                try copy(from, to: to)
            } else if status.st_mode & S_IFMT == S_IFREG {
                let content = content(from)
                let descriptor = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
                guard descriptor >= 0 else { throw failure(to) }
                defer { close(descriptor) }
                guard content.isEmpty || pwrite(descriptor, content, content.count, 0) == content.count else {
                    throw failure(to)
                }
                try copyAttributes(from, descriptor)
            }
        }
    }

    private static func copyAttributes(_ source: String, _ target: Int32) throws {
        #if os(Linux)
        var list = [UInt8](repeating: 0, count: 65_536)
        let count = list.withUnsafeMutableBytes { bytes in
            listxattr(source, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard count > 0 else { return }
        for name in list[..<count].split(separator: 0).map({ String(decoding: $0, as: UTF8.self) })
        where name.hasPrefix("user.") {
            var value = [UInt8](repeating: 0, count: 65_536)
            let length = getxattr(source, name, &value, value.count)
            guard length >= 0, fsetxattr(target, name, value, length, 0) == 0 else { throw failure(source) }
        }
        #endif
    }

    /// Cuts a file off.
    static func truncate(_ path: String, to length: Int) throws {
        #if canImport(Glibc)
        let code = Glibc.truncate(path, off_t(length))
        #else
        let code = Darwin.truncate(path, off_t(length))
        #endif
        guard code == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> ConformanceFailure {
        ConformanceFailure("\(path) can't be copied or changed: \(String(cString: strerror(errno)))")
    }
}
