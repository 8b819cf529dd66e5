import Foundation
import KVBackendBench
import KVBackends
import KVProtocols
import Testing

#if canImport(FoundationXML)
import FoundationXML
#endif

@Suite struct BenchReportTests {
    /// Three contenders, one with a hostile name, in every cell of two sizes; rates are chosen, not measured.
    private static func report() throws -> BenchReport {
        var plan = BenchPlan()
        (plan.sizes, plan.rounds) = ([16, 1024], 3)
        let open: @Sendable (String) throws(StorageError) -> any BenchTarget = { _ throws(StorageError) in
            throw StorageError(.unsupported, "never opened")
        }
        let contenders = [
            BenchContender(name: "engine", baseline: "raw", summary: "a \"summary\" with <signs> & \\", open: open),
            BenchContender(name: "raw", baseline: nil, summary: "calls", open: open),
            BenchContender(name: "<b>&\"", baseline: "raw", summary: "hostile\u{7}", open: open),
        ]
        var report = BenchReport(plan: plan, contenders: contenders, machine: [("system", "test <1>")])
        for size in plan.sizes {
            for mix in plan.mixes {
                for writers in plan.writers {
                    for round in 1...3 {
                        for (number, contender) in contenders.enumerated() {
                            var result = BenchResult()
                            result.operations = 1000 * round
                            result.seconds = Double(number + 1)
                            result.processorSeconds = result.seconds / 2
                            result.latency.record(UInt64(1000 * round), count: 1000)
                            if mix == .load { (result.bytesStored, result.bytesWritten) = (100, 250) }
                            report.add(result, BenchCell(size: size, mix: mix, writers: writers), contender.name)
                        }
                    }
                }
            }
        }
        return report
    }

    @Test("medians, spreads and ratios are those of the rounds")
    func figures() throws {
        let report = try BenchReportTests.report()
        let rows = report.rows(of: report.cells[0])
        #expect(rows[0].rate == BenchSpread([1000, 2000, 3000]))
        #expect(rows[0].rate.median == 2000)
        #expect(rows[2].rate.median == 2000.0 / 3)
        #expect(report.timeRatio(rows[0])?.median == 0.5)
        #expect(report.timeRatio(rows[2])?.median == 1.5)
        #expect(report.processorRatio(rows[0])?.median == 0.5)
        #expect(report.timeRatio(rows[1]) == nil)
        #expect(rows[0].writtenPerByte == 2.5)
        #expect(rows[0].latency.count == 3000)
        #expect(BenchSpread([4, 1, 2, 3]).median == 2.5)
    }

    @Test("what was not measured is not given")
    func missing() throws {
        let report = try BenchReportTests.report()
        let read = try #require(report.cells.first { $0.mix == .read })
        let row = try #require(report.rows(of: read).first)
        #expect(row.writtenPerByte == nil)
        #expect(row.bytesOnDisk == nil)
        #expect(row.ownMemory == nil)
        #expect(report.text.contains("n/a"))
    }

    @Test("the JSON is well-formed and has every cell")
    func json() throws {
        let report = try BenchReportTests.report()
        let parsed = try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any]
        let results = try #require(parsed?["results"] as? [[String: Any]])
        #expect(results.count == report.cells.count * 3)
        let names = Set(results.compactMap { $0["contender"] as? String })
        #expect(names == ["engine", "raw", "<b>&\""])
        #expect((results[0]["operations_per_second"] as? [String: Double])?["median"] == 2000)
        #expect((results[0]["time_ratio"] as? [String: Double])?["median"] == 0.5)
        #expect((results[0]["rounds_operations_per_second"] as? [Double]) == [1000, 2000, 3000])
        #expect(Set(results.compactMap { $0["mix"] as? String }).count == BenchMix.allCases.count)
    }

    @Test("the page is well-formed, needs nothing from elsewhere and has every cell")
    func html() throws {
        let report = try BenchReportTests.report()
        let html = report.html
        // All but the doctype and the one tag that HTML leaves open is XML.
        let xml = html.replacingOccurrences(of: "<!doctype html>", with: "")
            .replacing(#/<meta [^>]*>/#, with: "")
        let parser = XMLParser(data: Data(xml.utf8))
        #expect(parser.parse(), "\(String(describing: parser.parserError)) at line \(parser.lineNumber)")
        #expect(!html.contains("<script") && !html.contains("http"))
        #expect(!html.contains("<b>"))
        for size in [16, 1024] {
            for mix in BenchMix.allCases { #expect(html.contains("<h3>\(mix.rawValue), values of \(size) bytes</h3>")) }
        }
        // Per size and mix two plots and a table with a row for each contender and number of writers.
        #expect(html.components(separatedBy: "<svg").count - 1 == 2 * 6 * 2)
        #expect(html.components(separatedBy: "<td>engine</td>").count - 1 == report.cells.count)
    }

    @Test("the text has a table for each size and mix")
    func text() throws {
        let text = try BenchReportTests.report().text
        for size in [16, 1024] {
            for mix in BenchMix.allCases { #expect(text.contains("\n\(mix.rawValue), values of \(size) bytes")) }
        }
    }
}
