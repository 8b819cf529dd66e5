import Foundation
import Synchronization
import Testing

@testable import kv

/// One process of `kv up`. The program is a link to the shell, so that it can come and go.
@Suite struct ProcessKeeperTests {
    /// Keeps a process that runs `script` in a folder of its own, until `isEnough` says so of a line that is shown.
    private func keep(
        _ script: String, wasHealthy: Bool,
        until isEnough: @escaping @Sendable (_ program: String, _ line: String) -> Bool
    ) async throws {
        let files = FileManager.default
        let folder = files.temporaryDirectory.appendingPathComponent("kv-keeper-\(UUID().uuidString)").path
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try files.removeItem(atPath: folder) } }
        let program = "\(folder)/program"
        try link(program)
        let (enough, told) = AsyncStream<Void>.makeStream()
        let keeper = ProcessKeeper(
            member: ProcessKeeper.Member(name: "worker1", arguments: ["-c", script], logPath: "\(folder)/log"),
            executable: program, restarts: true, wasHealthy: { wasHealthy },
            show: { if isEnough(program, $0) { told.finish() } })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { told.finish() }
                try await keeper.run {}
            }
            for await _ in enough {}
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func `a process that can't be started again for a while is tried until it can`() async throws {
        let lines = Mutex<[String]>([])
        let script = #"test -e "$0.ran" && echo second && exec cat; touch "$0.ran"; rm "$0"; echo first; exit 7"#
        try await keep(script, wasHealthy: true) { program, line in
            if line.contains("can't start") { #expect(throws: Never.self) { try link(program) } }
            lines.withLock { $0.append(line) }
            return line == "second"
        }
        let shown = lines.withLock { $0 }
        #expect(shown.count == 4)
        #expect(shown.prefix(2) == ["first", "ended with status 7; it is started again in 250 ms"])
        #expect(shown.dropFirst(2).first?.hasSuffix("it is started again in 500 ms") == true, "\(shown)")
        #expect(shown.last == "second")
    }

    @Test func `before the cluster was healthy a process that can't run ends everything`() async {
        let failure = await #expect(throws: CommandFailure.self) {
            try await keep("exit 7", wasHealthy: false) { _, _ in false }
        }
        #expect(failure?.message == "worker1 could not start: it ended with status 7")
    }
}

private func link(_ program: String) throws {
    try FileManager.default.createSymbolicLink(atPath: program, withDestinationPath: "/bin/sh")
}
