import Foundation
import KVBackends
import KVConfiguration
import Testing

@testable import kv

@Suite struct UpTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kv-up-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: folder) } }
        try body(folder.path)
    }

    @Test func `a second instance is told which process holds the cluster`() throws {
        try withFolder { folder in
            var first: InstanceLock? = try InstanceLock(path: "\(folder)/new/c.up")
            let error = #expect(throws: CommandFailure.self) { _ = try InstanceLock(path: "\(folder)/new/c.up") }
            #expect(error?.message.contains("process \(ProcessInfo.processInfo.processIdentifier) ") == true)
            #expect(first != nil)
            first = nil
            _ = try InstanceLock(path: "\(folder)/new/c.up")
        }
    }

    @Test func `a log that is full becomes the old one`() throws {
        try withFolder { folder in
            let log = try LogFile(path: "\(folder)/data/w.log")
            log.append(String(repeating: "x", count: LogFile.maximumLength - 1))
            log.append("new")
            #expect(try String(contentsOfFile: "\(folder)/data/w.log", encoding: .utf8) == "new\n")
            #expect(FileManager.default.fileExists(atPath: "\(folder)/data/w.log.1"))
        }
    }

    @Test func `waiting grows to a bound, and shrinks after a good run`() {
        var backOff = BackOff()
        let delays = (0..<8).map { _ in backOff.delay(afterRunning: .zero) }
        #expect(delays.prefix(3) == [.milliseconds(250), .milliseconds(500), .seconds(1)])
        #expect(delays.last == BackOff.longest)
        #expect(backOff.delay(afterRunning: BackOff.well) == BackOff.shortest)
    }

    @Test func `every process is told its part and where its log is`() throws {
        let cluster = try ClusterConfiguration.load(
            text: ClusterConfiguration.standardText, source: "test", knownBackends: BackendRegistry.standard)
        let supervisor = ClusterSupervisor(
            cluster: cluster, configurationPath: "c.json", executable: "/kv", restarts: true)
        #expect(supervisor.controller.arguments == ["controller", "--stop-on-end-of-input", "--config", "c.json"])
        #expect(supervisor.nodes.map(\.name) == ["worker1", "worker2", "worker3", "worker4"])
        #expect(
            supervisor.nodes[1].arguments
                == ["node", "--name", "worker2", "--stop-on-end-of-input", "--config", "c.json"])
        #expect(supervisor.nodes[1].logPath == "data/worker2.log")
        #expect(ClusterSupervisor.beside("/d/w//", ".log") == "/d/w.log")
    }
}
