import Foundation
import KVHTTP
import KVProtocols
import KVReplication
import Synchronization
import Testing

/// What bounds the bytes of one answer.
@Suite struct AnswerBoundTests {
    private func document(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    /// The `status` of each operation, or another member.
    private func results<Member>(_ answer: RawHTTP.Answer, _ member: String) throws -> [Member] {
        let results = try #require(try document(answer.body)["results"] as? [[String: Any]])
        return results.compactMap { $0[member] as? Member }
    }

    @Test func `a batch refuses the gets whose values have no room`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", [UInt8](repeating: 65, count: 1 << 20))))
            let items = (0..<200).map { #"{"op":"get","key":"k\#($0)"}"# }.joined(separator: ",")
            let answer = try await http.json("POST", "/batch", #"{"operations":[\#(items)]}"#)
            #expect(answer.status == 200)
            #expect(answer.body.utf8.count < 5 << 20)
            let statuses: [Int] = try results(answer, "status")
            #expect(statuses.count { $0 == 200 } == 4)
            #expect(statuses.count { $0 == 413 } == 196)
            #expect(try results(answer, "code") == [String](repeating: "batch_answer_full", count: 196))
            #expect(node.operations.count < 100)
        }
    }

    @Test func `one value that is longer than the room is given`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.value(.of("k", [UInt8](repeating: 65, count: 5 << 20))))
            let answer = try await http.json(
                "POST", "/batch", #"{"operations":[{"op":"get","key":"a"},{"op":"get","key":"a"}]}"#)
            #expect(answer.body.contains(#""op":"get","key":"a","status":200"#))
            #expect(answer.body.contains("batch_answer_full"))
        }
    }

    @Test func `writes of a batch need no room`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let items = (0..<1_000).map { #"{"op":"put","key":"k\#($0)","value":"v"}"# }.joined(separator: ",")
            let answer = try await http.json("POST", "/batch", #"{"operations":[\#(items)]}"#)
            #expect(try results(answer, "status") == [Int](repeating: 200, count: 1_000))
        }
    }

    @Test func `a page of values ends early with a cursor`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.script.withLock {
                $0.keys = (0..<9).map { .of("k\($0)") }
                $0.listedValue = [UInt8](repeating: 65, count: 3 << 19)
            }
            var cursor = ""
            var pages: [Int] = []
            repeat {
                let page = try await http("GET", "/keys?limit=100&values=true&cursor=\(cursor)")
                #expect(page.status == 200)
                let document = try document(page.body)
                pages.append(try #require(document["keys"] as? [Any]).count)
                cursor = document["next_cursor"] as? String ?? ""
            } while !cursor.isEmpty && pages.count < 20
            #expect(pages == [2, 2, 2, 2, 1])
        }
    }

    @Test func `a page over deleted keys goes on where it ended`() async throws {
        try await withServer { (http: RawHTTP, node: ScriptedNode) async throws in
            node.script.withLock {
                $0.keys = [.of("z")]
                $0.emptyPagesUpTo = ["c", "f", "m"].map(Key.of)
            }
            let answer = try await http("GET", "/keys?limit=10")
            #expect(answer.body.contains(#""keys":[{"key":"z""#))
            #expect(answer.body.contains(#""next_cursor":null"#))
        }
    }

    @Test func `the configured longest body holds for every request`() async throws {
        try await withServer(maximumBodyLength: 4_096) { (http: RawHTTP, node: ScriptedNode) async throws in
            node.answer(.written(.one, acks: 2, required: 2, value: nil))
            let (short, long) = (String(repeating: "v", count: 4_000), String(repeating: "v", count: 4_200))
            #expect(try await http("PUT", "/kv/a", body: short).status == 200)
            #expect(try await http("PUT", "/kv/a", body: long).status == 413)
            #expect(try await http.json("PUT", "/kv/a", #"{"value":"\#(short)"}"#).status == 200)
            #expect(try await http.json("PUT", "/kv/a", #"{"value":"\#(long)"}"#).status == 413)
            let batch = #"{"operations":[{"op":"put","key":"a","value":"\#(long)"}]}"#
            #expect(try await http.json("POST", "/batch", batch).status == 413)
        }
    }
}
