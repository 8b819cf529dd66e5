import Synchronization
import Testing

@testable import kv

@Suite struct ChildProcessTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
        func add(_ line: Substring) { all.withLock { $0.append(String(line)) } }
    }

    @Test func `lines of both outputs arrive, the last one without a line end too`() async throws {
        let lines = Lines()
        let child = try ChildProcess(
            executable: "/bin/sh", arguments: ["-c", "echo one; echo two >&2; printf three"], onLine: lines.add)
        #expect(await child.ending == .status(0))
        #expect(lines.all.withLock { $0 } == ["one", "two", "three"])
    }

    @Test func `a status and a signal are told apart`() async throws {
        let status = try ChildProcess(executable: "/bin/sh", arguments: ["-c", "exit 7"]) { _ in }
        #expect(await status.ending == .status(7))
        let killed = try ChildProcess(executable: "/bin/sh", arguments: ["-c", "kill -9 $$"]) { _ in }
        #expect(await killed.ending == .signal(9))
    }

    @Test func `a child that was told to stop sees the end of its input`() async throws {
        let lines = Lines()
        let child = try ChildProcess(
            executable: "/bin/sh", arguments: ["-c", "trap '' TERM; echo ready; cat; exit 3"], onLine: lines.add)
        // Before the trap is set the signal ends the shell.
        while lines.all.withLock({ $0.isEmpty }) { await Task.yield() }
        child.stop()
        #expect(await child.ending == .status(3))
        child.stop()
        child.destroy()
    }

    @Test func `a child that does not stop can be destroyed`() async throws {
        let child = try ChildProcess(
            executable: "/bin/sh", arguments: ["-c", "trap '' TERM; while :; do sleep 1; done"]
        ) {
            _ in
        }
        child.destroy()
        #expect(await child.ending == .signal(9))
    }

    @Test func `a program that is missing is said so`() {
        #expect(throws: CommandFailure.self) {
            try ChildProcess(executable: "/nonexistent/kv", arguments: []) { _ in }
        }
    }
}
