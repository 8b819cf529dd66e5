import Foundation

/// The `kv` that the tests run: `KV_EXECUTABLE`, or the one that was built beside the test bundle.
enum Executable {
    struct Missing: Error, CustomStringConvertible {
        var description: String
    }

    static func path() throws -> String {
        if let path = ProcessInfo.processInfo.environment["KV_EXECUTABLE"] { return path }
        let candidates = folders.map { $0.appending(path: "kv").path }
        guard let path = candidates.first(where: FileManager.default.isExecutableFile) else {
            throw Missing(
                description: "no kv executable; build it with swift build, or set KV_EXECUTABLE. Looked at: "
                    + candidates.joined(separator: ", "))
        }
        return path
    }

    /// Where builds put executables: beside the bundle, then the package's own debug folder.
    private static var folders: [URL] {
        var folders: [URL] = []
        var folder = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        for _ in 0..<4 {
            folder.deleteLastPathComponent()
            folders.append(folder)
        }
        var package = URL(filePath: #filePath)
        for _ in 0..<4 { package.deleteLastPathComponent() }
        folders.append(package.appending(path: ".build/debug"))
        return folders
    }

    /// This process's environment without what would change how `kv` is configured.
    static let environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("KV_") }
}
