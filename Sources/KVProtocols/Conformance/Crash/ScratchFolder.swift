import KVProtocols

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A folder of its own that is removed in the end.
final class ScratchFolder {
    let path: String

    init(in parent: String) throws {
        var template = Array("\(parent)/kv-conformance-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ConformanceFailure("no folder can be created in \(parent): \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { FileTree.remove(path) }

    /// An empty folder in this one.
    func empty(_ name: String) throws -> String {
        let folder = "\(path)/\(name)"
        FileTree.remove(folder)
        guard mkdir(folder, 0o700) == 0 else {
            throw ConformanceFailure("no folder \(folder): \(String(cString: strerror(errno)))")
        }
        return folder
    }

    /// In memory where the system has that and the engine works there, for what needn't survive anything; else in the
    /// suite's folder.
    static func inMemory(for suite: ConformanceSuite) throws -> ScratchFolder {
        #if os(Linux)
        if access("/dev/shm", W_OK) == 0 {
            let folder = try ScratchFolder(in: "/dev/shm")
            let context = BackendContext(
                path: try folder.empty("trial"), partitions: ConformanceSuite.partitions, options: suite.options)
            do throws(StorageError) {
                let backend = try suite.factory.open(context)
                try backend.apply([.metadata(.node, "trial", [1])])
                try backend.close()
                return folder
            } catch {
                // It needs a file system of another kind.
            }
        }
        #endif
        return try ScratchFolder(in: suite.temporaryFolder)
    }
}
