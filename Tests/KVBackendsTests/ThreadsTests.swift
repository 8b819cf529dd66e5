import Foundation
import Synchronization
import Testing

@testable import KVConformance

@Suite struct ThreadsTests {
    @Test("when a thread can't be started those before it are waited for")
    func tooMany() async {
        await #expect(processExitsWith: .success) {
            // Room for the stacks of a few threads.
            let statistics = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            let pages = try #require(statistics.split(separator: " ").first.flatMap { UInt($0) })
            var limit = rlimit()
            limit.rlim_cur = pages * UInt(getpagesize()) + (48 << 20)
            limit.rlim_max = limit.rlim_cur
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0)
            let begun = Atomic<Int>(0)
            let ended = Atomic<Int>(0)
            let body: @Sendable () throws -> Void = {
                begun.add(1, ordering: .relaxed)
                var number: UInt64 = 1
                for _ in 0..<3_000_000 { number = number &* 6_364_136_223_846_793_005 &+ 1 }
                if number != 0 { ended.add(1, ordering: .relaxed) }
            }
            #expect(throws: ConformanceFailure.self) {
                try Threads.run([@Sendable () throws -> Void](repeating: body, count: 100))
            }
            #expect(ended.load(ordering: .relaxed) > 0)
            #expect(begun.load(ordering: .relaxed) == ended.load(ordering: .relaxed))
        }
    }

    @Test("what came of each thread is returned in order")
    func order() throws {
        let results = try Threads.results(20) { number throws(CancellationError) in
            if number == 7 { throw CancellationError() }
            return number
        }
        #expect(results.map { try? $0.get() } == (0..<20).map { $0 == 7 ? nil : $0 })
    }
}
