import ArgumentParser
import KVConfiguration
import KVProtocols
import Testing

@testable import kv

@Suite struct CommandFailureTests {
    private func problem(_ json: String) -> ProblemDocument? { ProblemDocument(Array(json.utf8)) }

    @Test(arguments: [
        (404, "not_found", CommandFailure.Code.notFound), (412, "condition_failed", .preconditionFailed),
        (503, "no_quorum", .noQuorum), (503, "electing", .noQuorum), (503, "storage_failed", .error),
        (504, "outcome_unknown", .outcomeUnknown), (400, "bad_key", .error), (409, "not_a_number", .error),
    ])
    func `a status and its problem become an exit code`(_ status: Int, _ word: String, _ code: CommandFailure.Code) {
        let problem = problem(#"{"title":"T","detail":"d","code":"\#(word)"}"#)
        #expect(StoreClient.failure(status: status, problem).code == code)
    }

    @Test func `a problem is said as title, detail and outcome`() {
        let problem = problem(#"{"title":"Service Unavailable","detail":"1 of 2","outcome":"not_applied","x":1}"#)
        #expect(problem?.summary == "Service Unavailable: 1 of 2 (nothing was written)")
    }

    @Test(arguments: ["", "<html>", "[]", "{}", #"{"title":5}"#])
    func `what is no problem document is none`(_ body: String) {
        #expect(problem(body) == nil)
    }

    @Test func `storage errors are told with their place and cause`() {
        let error = StorageError(.inUse, "process 7 uses the data folder", cause: "EAGAIN", path: "data/w")
        #expect(CommandFailure(error)?.message == "process 7 uses the data folder [data/w] (EAGAIN)")
    }

    @Test func `wrong usage is left to the parser`() throws {
        let error = #expect(throws: (any Error).self) { try KV.parseAsRoot(["put", "key"]) }
        #expect(try CommandFailure(#require(error)) == nil)
        #expect(try KV.exitCode(for: #require(error)).rawValue == 64)
    }
}
