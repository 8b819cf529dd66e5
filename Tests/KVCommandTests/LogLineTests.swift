import Logging
import Testing

@testable import kv

@Suite struct LogLineTests {
    private func line(_ fields: [(String, String)] = []) -> LogLine {
        LogLine(
            time: "2026-01-31T12:34:56.789Z", level: .warning, message: "the disk is full",
            fields: fields.map { (name: $0.0, value: $0.1) })
    }

    @Test func `text shows time, level, message and fields, quoting what holds spaces`() {
        #expect(
            line([("kv.node", "worker1"), ("error", "no \"space\" left")]).text
                == "2026-01-31T12:34:56.789Z WARNING the disk is full kv.node=worker1 error=\"no 'space' left\"")
    }

    @Test func `control characters of a field can't begin a line of their own`() {
        #expect(!line([("error", "a\nb\u{1B}[2J")]).text.contains { $0 == "\n" || $0 == "\u{1B}" })
    }

    @Test func `json is one object that keeps its own members`() {
        #expect(
            line([("level", "critical"), ("path", "a\"b")]).json
                == #"{"time":"2026-01-31T12:34:56.789Z","level":"warning","message":"the disk is full","path":"a\"b"}"#)
    }

    @Test func `the level of a line is found in both forms`() {
        #expect(LogLine.level(of: line().text) == .warning)
        #expect(LogLine.level(of: line([("a", "b")]).json) == .warning)
    }

    @Test(arguments: ["", "Fatal error: index out of range", "kv: the port is in use", "{\"level\":\"info\"}"])
    func `other lines have no level`(_ line: String) {
        #expect(LogLine.level(of: line) == nil)
    }

    @Test func `times are written with leading zeros`() {
        #expect(WallClock.text(ofSeconds: 0, milliseconds: 7) == "1970-01-01T00:00:00.007Z")
        #expect(WallClock.text(ofSeconds: 1_769_862_896, milliseconds: 789) == "2026-01-31T12:34:56.789Z")
    }
}
