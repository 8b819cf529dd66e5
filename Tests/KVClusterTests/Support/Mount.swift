import Foundation

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Small file systems in memory, to be filled up or made read-only. Linux and root only.
enum Mount {
    /// Whether this process may mount; found out by trying.
    static func isPossible() async throws -> Bool {
        guard geteuid() == 0, FileManager.default.isExecutableFile(atPath: "/bin/mount") else { return false }
        let folder = try TestFolder()
        defer { folder.remove() }
        let mount = "\(folder.path)/mount"
        try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
        guard try await change("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], folder.path) else {
            return false
        }
        return try await change("umount", [mount], folder.path)
    }

    /// Gives `body` a file system at `path`, in `folder`, and takes it away afterwards.
    static func with(
        _ options: String, at path: String, in folder: String, _ body: () async throws -> Void
    ) async throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard try await change("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path], folder) else {
            throw TestProcess.Failure(description: "can't mount \(path)")
        }
        do {
            try await body()
        } catch {
            _ = try await change("umount", ["-l", path], folder)
            throw error
        }
        _ = try await change("umount", ["-l", path], folder)
    }

    private static func change(_ program: String, _ arguments: [String], _ folder: String) async throws -> Bool {
        try await run("/bin/\(program)", arguments, log: "\(folder)/\(program)").status == 0
    }
}
