import Foundation
import Testing

/// What the README shows, typed at real processes.
@Suite struct WalkthroughTests {
    @Test func `the walkthrough works as typed`() async throws {
        try await Cluster.with { cluster in
            let health = try await cluster.controller.get("/health")
            #expect(health.text.contains(#""status":"controller up""#))
            #expect(health.text.contains(#""workers_count":4"#))

            let map = try await cluster.controller.get("/map?key=mykey").json
            let members = map["replicas"].strings
            #expect(Set(members).count == 3 && Set(members).isSubset(of: Set(cluster.nodes)))
            #expect(map["primary"].string == members.first)

            let put = try await cluster.node("worker1").put("mykey", "myvalue")
            #expect(put.status == 200)
            #expect(put.json["required"].integer == 2)
            #expect((put.json["acks"].integer ?? 0) >= 2)

            for server in cluster.servers() + [cluster.controller] {
                let answer = try await server.get("/kv/mykey")
                #expect(answer.status == 200)
                #expect(answer.text.contains(#""value":"myvalue""#))
                #expect(answer.etag == put.etag)
                #expect(answer.headers["kv-served-by"] != nil)
                #expect(answer.headers["kv-leader"] != nil)
            }
            for member in members {
                try await eventually("\(member) shows the value as a file", within: .seconds(10)) {
                    FileManager.default.contents(atPath: "\(cluster.folder)/data/\(member)/mykey")
                        == Data("myvalue".utf8)
                }
            }
            for name in cluster.nodes + ["controller"] { #expect(await cluster.stop(name) == 0) }
        }
    }

    /// Every key is written and read through the nodes that are left; the time until the last of them works is what a
    /// user would see. The tests' bound has room for a busy machine; the measured time is printed.
    @Test func `a killed node is survived, replaced and catches up`() async throws {
        try await Cluster.with { cluster in
            let log = WriteLog()
            let keys = (0..<96).map { "key-\($0)" }
            let writers = cluster.servers()
            try await concurrently(keys.enumerated().map { $0 }) { index, key in
                #expect(await log.put(key, "before", to: writers[index % 4]) == 200)
            }
            let victim = try #require(try await cluster.members(of: "key-0").first)
            let others = cluster.servers(without: [victim])

            await cluster.kill(victim)
            let killed = ContinuousClock.now
            try await concurrently(keys.enumerated().map { $0 }) { index, key in
                try await eventually("\(key) can be written and read", every: .milliseconds(20)) {
                    let server = others[index % 3]
                    guard await log.put(key, "during", to: server, timeout: 500) == 200 else { return false }
                    return try await server.get("/kv/\(key)?timeout=500").json["value"].string == "during"
                }
            }
            let unavailable = ContinuousClock.now - killed
            print("all \(keys.count) keys were written and read again \(unavailable) after kill -9 of \(victim)")

            try await eventually("the victim's replicas are replaced") {
                let kinds = try await cluster.events(about: victim)
                return kinds.contains("failure_detected") && kinds.contains("rereplication_started")
                    && kinds.contains("rereplication_finished")
            }
            let kinds = try await cluster.events(about: victim)
            let expected = ["failure_detected", "rereplication_started", "rereplication_finished"]
            #expect(kinds.filter(expected.contains) == expected)
            let replacements = try await cluster.members(of: "key-0")
            #expect(Set(replacements).count == 3 && !replacements.contains(victim))
            for key in keys {
                try await eventually("\(key) is on three live nodes") { try await cluster.agrees(key) }
            }

            try cluster.start(victim)
            try await cluster.healthy()
            for key in keys {
                try await eventually("\(key) is the same everywhere") { try await cluster.agrees(key) }
            }
            try await eventually("the victim has work again") {
                let node = try await cluster.controller.get("/nodes/\(victim)").json
                return node["state"].string == "up" && (node["replicas"].integer ?? 0) > 0
            }
            try await log.verify(at: [cluster.node(victim)])
            for key in keys {
                // It may be about to become a member, or no longer be one; it must never show the value it knew before.
                try await eventually("\(victim) holds \(key), or is no member of its partition") {
                    let own = try await cluster.node(victim).get("/kv/\(key)?consistency=local")
                    #expect(own.json["value"].string != "before", "\(key) is stale on \(victim): \(own.text)")
                    let isMember = try await cluster.members(of: key).contains(victim)
                    return isMember ? own.json["value"].string == "during" : own.status == 404
                }
            }
        }
    }

    @Test func `without a quorum nothing is acknowledged, and nothing half-written is shown`() async throws {
        try await Cluster.with(.withoutMoves) { cluster in
            let log = WriteLog()
            let members = try await cluster.members(of: "mykey")
            #expect(await log.put("mykey", "old", to: cluster.node("worker1")) == 200)
            for member in members.dropFirst() { await cluster.kill(member) }

            let left = cluster.servers(without: Set(members.dropFirst()))
            for attempt in 0..<6 {
                let value = "attempt-\(attempt)"
                log.begin("mykey", value)
                let answer = try await left[attempt % left.count].put("mykey", value, query: "?timeout=1000")
                let outcome = answer.json["outcome"].string
                #expect(answer.headers["content-type"] == "application/problem+json")
                // A write that the leader had begun before it noticed is unknown; all others are refused.
                #expect(
                    (answer.status == 503 && outcome == "not_applied")
                        || (answer.status == 504 && outcome == "unknown"), "\(answer.text)")
                if outcome == "not_applied" { log.notApplied("mykey", value) }
                let read = try await left[attempt % left.count].get("/kv/mykey?timeout=1000")
                #expect([503, 504].contains(read.status), "\(read.text)")
            }
            try await eventually("writes are refused before they begin") {
                let answer = try await left[0].put("mykey", "refused", query: "?timeout=1000")
                return answer.status == 503 && answer.json["outcome"].string == "not_applied"
                    && answer.headers["retry-after"] != nil
            }

            for member in members.dropFirst() { try cluster.start(member) }
            try await cluster.healthy()
            let first = try await cluster.node("worker1").get("/kv/mykey")
            #expect(log.allows("mykey", first.json["value"].string), "\(first.text)")
            for server in cluster.servers() {
                let answer = try await server.get("/kv/mykey")
                #expect(answer.json["value"] == first.json["value"])
                #expect(answer.etag == first.etag)
            }
            try await eventually("the members agree") { try await cluster.agrees("mykey") }
            #expect(await log.put("mykey", "new", to: cluster.node("worker2")) == 200)
            try await log.verify(at: cluster.servers())
        }
    }
}
