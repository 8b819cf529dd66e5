import Hummingbird
import KVHTTP
import Testing

@testable import KVControllerHTTP

@Suite struct StateStreamsTests {
    @Test func `streams are counted when they are asked for, and no longer when nobody holds them`() throws {
        let streams = StateStreams(service: ScriptedController())
        var answers = try (0..<StateStreams.maximumStreams).map { _ in try streams.state() }
        for _ in 0..<2 {
            let problem = #expect(throws: Problem.self) { _ = try streams.state() }
            #expect(problem?.code == "too_many_streams")
        }
        answers.removeLast()
        answers.append(try streams.state())
        #expect(throws: Problem.self) { _ = try streams.state() }
        answers = []
        _ = try streams.state()
    }
}
