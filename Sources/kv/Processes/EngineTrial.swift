import Foundation
import KVProtocols

/// Opens an engine on a disk where nothing depends on it: what is wrong with its options, its library or the file system
/// comes out while the data of the engine before is still in its place.
enum EngineTrial {
    static let name = "trial"

    /// Opens the engine in a folder in `.kv`, which is nobody's content, hands it to `check`, and removes all of it whatever
    /// becomes of that. The lock of `folder` is held.
    /// - Throws: what `open`, `check` and closing the engine throw, in this order; what is left is removed first.
    static func run(
        in folder: String, open: (_ path: String) throws(StorageError) -> any StorageBackend,
        check: (any StorageBackend) throws(StorageError) -> Void
    ) throws(StorageError) {
        let trial = "\(folder)/.kv/\(name)"
        try remove(trial)
        try files("could not make the folder to try the new backend in", trial) {
            try FileManager.default.createDirectory(
                atPath: trial, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        }
        let outcome = Result { () throws(StorageError) in
            let backend = try open(trial)
            let verdict = Result { () throws(StorageError) in try check(backend) }
            let closing = Result { () throws(StorageError) in try backend.close() }
            try verdict.get()
            try closing.get()
        }
        let removal = Result { () throws(StorageError) in try remove(trial) }
        try outcome.get()
        try removal.get()
    }

    private static func remove(_ path: String) throws(StorageError) {
        guard FileManager.default.fileExists(atPath: path) else { return }
        try files("could not remove the folder in which a backend was tried", path) {
            try FileManager.default.removeItem(atPath: path)
        }
    }

    /// What Foundation throws is of its own kind.
    private static func files(_ what: String, _ path: String, _ body: () throws -> Void) throws(StorageError) {
        do {
            try body()
        } catch {
            throw StorageError(.io, what, cause: "\(error)", path: path)
        }
    }
}
