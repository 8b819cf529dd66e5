import Foundation
import KVConformance
import KVProtocols
import Testing

/// docs/writing-a-backend.md is true: its code is what is compiled here, and the engine passes.
@Suite struct GuideTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test("the code on the page is the code that is tested")
    func codeOfThePage() throws {
        let page = try String(
            contentsOf: GuideTests.root.appending(path: "docs/writing-a-backend.md"), encoding: .utf8)
        var blocks: [String] = []
        var lines: [Substring]?
        for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "```swift" {
                lines = []
            } else if line == "```", let block = lines {
                blocks.append(block.joined(separator: "\n") + "\n")
                lines = nil
            } else {
                lines?.append(line)
            }
        }
        let file = GuideTests.root.appending(path: "Tests/KVBackendsTests/GuideBackend.swift")
        #expect(blocks.count > 5)
        #expect(blocks.joined(separator: "\n") == (try String(contentsOf: file, encoding: .utf8)))
    }

    @Test("the engine of the guide passes", arguments: ConformanceSuite.cases)
    func conformance(test: ConformanceCase) throws {
        let worker = try #require(ConformanceWorker.forTests, "the worker was not built")
        // So few files that batches of every case replace them by one.
        let suite = ConformanceSuite(GuideBackend.factory, options: ["files": .integer(3)], worker: worker)
        let outcome = try suite.run(test)
        if case .skipped(let why) = outcome, why.contains("ptrace") {
            withKnownIssue("a container may forbid tracing", isIntermittent: true) { Issue.record("\(why)") }
        } else if test.need != .time {
            #expect(outcome == .passed)
        }
    }

    @Test("its files are replaced by one now and then, and nothing is lost")
    func compaction() throws {
        let folder = try TestFolder()
        func open() throws -> any StorageBackend {
            try GuideBackend.factory.open(
                BackendContext(path: folder.path, partitions: 8, options: ["files": .integer(5)]))
        }
        let backend = try open()
        for number in 0..<37 {
            try backend.put(Key(unchecked: Array("key \(number % 11)".utf8)), [UInt8(number)], UInt64(number + 1))
        }
        #expect(try backend.statistics().details.contains { $0.name == "files" && $0.value <= 5 })
        try backend.close()
        let again = try open()
        for number in 26..<37 {
            #expect(try again.value(Key(unchecked: Array("key \(number % 11)".utf8))) == [UInt8(number)])
        }
        #expect(try again.statistics().keys == 11)
    }
}
