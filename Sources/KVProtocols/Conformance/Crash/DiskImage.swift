#if os(Linux)
import CTrace
import Glibc

/// Makes the folder that a power cut left behind.
struct DiskImage {
    let model: CrashModel

    /// - Parameter folder: exists and is empty.
    func write(_ state: CrashState, to folder: String) throws {
        let tree = model.tree(names: state.names, without: state.astray)
        for path in tree.folders where mkdir("\(folder)/\(path)", 0o700) != 0 {
            throw DiskImage.failure("a folder", path)
        }
        var changes: [DiskObject: [Int]] = [:]
        for event in 0..<state.moment where !state.lost.contains(event) {
            if let file = model.trace.events[event].file { changes[file, default: []].append(event) }
        }
        for (path, file) in tree.files {
            let descriptor = open("\(folder)/\(path)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw DiskImage.failure("a file", path) }
            defer { close(descriptor) }
            for event in changes[file] ?? [] {
                guard repeatChange(event, state.torn[event], descriptor) else {
                    throw DiskImage.failure(model.trace.describe(event), path)
                }
            }
        }
    }

    private func repeatChange(_ event: Int, _ tear: CrashState.Tear?, _ descriptor: Int32) -> Bool {
        switch model.trace.events[event] {
        case .write(_, let offset, let bytes):
            guard let tear else { return put(bytes[...], offset, descriptor) }
            let (start, rest) = CrashState.remains(of: bytes, at: offset, tear)
            return put(rest, start, descriptor) && extend(descriptor, offset + bytes.count, only: tear == .hole)
        case .resize(_, let length): return ftruncate(descriptor, off_t(length)) == 0
        case .zero(_, let offset, let count, let extends):
            let end = extends ? offset + count : min(offset + count, length(descriptor))
            let zeroes = [UInt8](repeating: 0, count: max(0, end - offset))
            return put(zeroes[...], offset, descriptor) && extend(descriptor, offset + count, only: extends)
        case .attribute(_, let name, let bytes):
            guard let bytes else { return fremovexattr(descriptor, name) == 0 || errno == ENODATA }
            return fsetxattr(descriptor, name, bytes, bytes.count, 0) == 0
        default: return true
        }
    }

    private func length(_ descriptor: Int32) -> Int {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
    }

    private func extend(_ descriptor: Int32, _ end: Int, only condition: Bool) -> Bool {
        !condition || length(descriptor) >= end || ftruncate(descriptor, off_t(end)) == 0
    }

    private func put(_ bytes: ArraySlice<UInt8>, _ offset: Int, _ descriptor: Int32) -> Bool {
        bytes.isEmpty
            || bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) } == bytes.count
    }

    private static func failure(_ what: String, _ path: String) -> ConformanceFailure {
        ConformanceFailure(
            "the image of a power cut can't be made: \(what) (\(path)): \(String(cString: strerror(errno)))")
    }
}
#endif
