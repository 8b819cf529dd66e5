import Foundation

/// A folder of a test. Beside the test bundle, because the temporary folder is in memory on many systems, where the
/// file backend can't work and nothing about crashes would be shown.
struct TestFolder: Sendable {
    let path: String

    init() throws {
        path =
            URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "kv-test-\(UUID().uuidString.prefix(8))").path
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    func remove() {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            // What a test leaves among the build's files does not change what it proved.
        }
    }
}
