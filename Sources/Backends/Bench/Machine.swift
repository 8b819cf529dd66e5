#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What the system tells about itself and about this process.
package enum Machine {
    static let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    /// Nanoseconds of a clock that never goes back.
    @inline(__always)
    package static func now() -> UInt64 { nanoseconds(CLOCK_MONOTONIC) }

    /// Nanoseconds that the processor worked for this thread, in the program and in the kernel.
    package static func processorTime() -> UInt64 { nanoseconds(CLOCK_THREAD_CPUTIME_ID) }

    /// Nanoseconds that the processors worked for this process, in the program and in the kernel.
    package static func processTime() -> UInt64 { nanoseconds(CLOCK_PROCESS_CPUTIME_ID) }

    @inline(__always)
    private static func nanoseconds(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Bytes that this process had written to disks so far; `nil` where the kernel doesn't count them, which includes
    /// folders in memory.
    static func bytesWritten(below folder: String) -> UInt64? {
        guard fileSystem(of: folder) != "tmpfs", let text = contents("/proc/self/io") else { return nil }
        return field("write_bytes:", in: text)
    }

    /// Resident bytes: this process's own, and of mapped files.
    static func memory() -> (own: Int64, mapped: Int64)? {
        guard let text = contents("/proc/self/status"), let own = field("RssAnon:", in: text),
            let files = field("RssFile:", in: text), let shared = field("RssShmem:", in: text)
        else { return nil }
        return (Int64(own) << 10, Int64(files + shared) << 10)
    }

    /// Name, value: for the head of a report.
    static func description(of folder: String) -> [(String, String)] {
        var system = utsname()
        var result = [("processors", String(processors))]
        if uname(&system) == 0 {
            let text = { (bytes: UnsafeRawBufferPointer) in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
            let name = withUnsafeBytes(of: &system.sysname, text)
            result.append(("system", name + " " + withUnsafeBytes(of: &system.release, text)))
            result.append(("architecture", withUnsafeBytes(of: &system.machine, text)))
        }
        if let line = contents("/proc/cpuinfo")?.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
            let model = line.split(separator: ":", maxSplits: 1).last
        {
            result.insert(("processor", String(model.drop { $0 == " " })), at: 0)
        }
        result.append(("file system", fileSystem(of: folder)))
        return result
    }

    /// The type of the file system that the folder lies on, from the system's list of mounts.
    static func fileSystem(of folder: String) -> String {
        guard let resolved = realpath(folder, nil) else { return "unknown" }
        defer { free(resolved) }
        let path = String(cString: resolved)
        var best: (place: Substring, type: Substring) = ("", "unknown")
        for line in contents("/proc/self/mounts")?.split(separator: "\n") ?? [] {
            let fields = line.split(separator: " ")
            guard fields.count >= 3, fields[1].count >= best.place.count else { continue }
            let isAbove = fields[1] == "/" || path == fields[1] || path.hasPrefix(fields[1] + "/")
            if isAbove { best = (fields[1], fields[2]) }
        }
        return String(best.type)
    }

    private static func field(_ name: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            return line.dropFirst(name.count).split { $0 == " " || $0 == "\t" }.first.flatMap { UInt64($0) }
        }
        return nil
    }

    /// A small file of the kernel; `nil` where there is none.
    private static func contents(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&buffer, 1, buffer.count, file)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
