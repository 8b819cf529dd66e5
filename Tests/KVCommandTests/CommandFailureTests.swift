import ArgumentParser
import AsyncHTTPClient
import KVConfiguration
import KVProtocols
import NIOCore
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

    @Test(arguments: [
        (503, true), (504, true), (507, true), (400, false), (403, false), (404, false), (409, false), (412, false),
        (413, false), (500, false),
    ])
    func `what the server refuses for now may pass, what is wrong may not`(_ status: Int, _ mayPass: Bool) {
        let problem = problem(#"{"title":"T","code":"electing"}"#)
        #expect(StoreClient.failure(status: status, problem).mayPass == mayPass)
        #expect(StoreClient.failure(status: status, nil).mayPass == mayPass)
    }

    @Test func `no other attempt finds another address, or a shorter answer`() {
        let client = StoreClient(url: "h:1", timeout: .seconds(1))
        for error in [HTTPClientError.invalidURL, .emptyHost, .emptyScheme] {
            let failure = client.failure(error, isWrite: true)
            #expect(!failure.mayPass)
            #expect(failure.code == .error, "nothing was sent")
        }
        for isWrite in [false, true] {
            let code: CommandFailure.Code = isWrite ? .outcomeUnknown : .error
            for error in [NIOTooManyBytesError(maxBytes: 5), CancellationError(), HTTPClientError.cancelled]
                as [any Error]
            {
                let failure = client.failure(error, isWrite: isWrite)
                #expect(!failure.mayPass && failure.code == code, "\(error)")
            }
            for error in [HTTPClientError.readTimeout, .remoteConnectionClosed, .deadlineExceeded] {
                let failure = client.failure(error, isWrite: isWrite)
                #expect(failure.mayPass && failure.code == code, "\(error)")
            }
            #expect(client.failure(HTTPClientError.connectTimeout, isWrite: isWrite).code == .error)
            #expect(client.failure(HTTPClientError.connectTimeout, isWrite: isWrite).mayPass)
        }
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
