import Foundation
import KVBackends
import KVProtocols
import Testing

@testable import kv

/// A new engine is tried beside the data of the one before.
@Suite struct EngineTrialTests {
    /// A data folder in which an earlier trial was interrupted.
    private func withFolder(_ body: (_ path: String, _ trial: String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "kv-trial-\(UUID().uuidString)").path
        let trial = "\(folder)/.kv/trial"
        try FileManager.default.createDirectory(atPath: trial, withIntermediateDirectories: true)
        try Data("left".utf8).write(to: URL(filePath: "\(trial)/left"))
        defer {
            do { try FileManager.default.removeItem(atPath: folder) } catch { Issue.record(error) }
        }
        try body(folder, trial)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/.kv") == [])
    }

    private func open(_ path: String) throws(StorageError) -> any StorageBackend {
        try BackendRegistry.open(type: "file", BackendContext(path: path, partitions: 4))
    }

    @Test func `an engine that opens is checked and leaves nothing behind`() throws {
        try withFolder { folder, trial in
            var checked = false
            try EngineTrial.run(in: folder) { path throws(StorageError) in
                #expect(path == trial)
                #expect(!FileManager.default.fileExists(atPath: "\(trial)/left"))
                return try open(path)
            } check: { backend throws(StorageError) in
                checked = backend.capabilities.durable
            }
            #expect(checked)
        }
    }

    @Test func `an engine that does not open leaves nothing behind`() throws {
        try withFolder { folder, _ in
            let error = #expect(throws: StorageError.self) {
                try EngineTrial.run(in: folder) { _ throws(StorageError) in
                    throw StorageError(.invalid, "the option 'map_bytes' is too small")
                } check: { _ throws(StorageError) in
                    Issue.record("there is nothing to check")
                }
            }
            #expect(error?.message.contains("map_bytes") == true)
        }
    }

    @Test func `an engine that is refused is closed and leaves nothing behind`() throws {
        try withFolder { folder, _ in
            let error = #expect(throws: StorageError.self) {
                try EngineTrial.run(in: folder, open: open) { _ throws(StorageError) in
                    throw StorageError(.unsupported, "no")
                }
            }
            #expect(error?.code == .unsupported)
        }
    }

    @Test func `a folder that can not be made is told of as the storage's trouble`() {
        let error = #expect(throws: StorageError.self) {
            try EngineTrial.run(in: "/nonexistent/folder", open: open) { _ throws(StorageError) in }
        }
        #expect(error?.code == .io)
        #expect(error?.path == "/nonexistent/folder/.kv/trial")
    }
}
