import Foundation
import Synchronization
import Testing

/// Conditions, counters, listings, raw bodies and expiry, through any node and the controller.
@Suite struct ConditionTests {
    @Test func `conditions hold whichever node is asked`() async throws {
        try await Cluster.with { cluster in
            let (one, two, through) = (cluster.node("worker1"), cluster.node("worker2"), cluster.controller)
            let created = try await one.put("c", "1", ["If-None-Match": "*"])
            #expect(created.status == 201)
            let first = try #require(created.etag)
            let again = try await two.put("c", "2", ["If-None-Match": "*"])
            #expect(again.status == 412)
            #expect(again.json["outcome"].string == "not_applied")
            #expect(again.etag == first)

            let changed = try await through.put("c", "3", ["If-Match": first])
            #expect(changed.status == 200)
            let second = try #require(changed.etag)
            #expect(second != first)
            #expect(try await one.put("c", "4", ["If-Match": first]).status == 412)
            #expect(try await one.get("/kv/c", ["If-None-Match": second]).status == 304)
            #expect(try await two.get("/kv/c", ["If-None-Match": first]).status == 200)
            #expect(try await through.get("/kv/c", ["If-None-Match": second]).status == 304)
            #expect(try await one.get("/kv/c", ["If-Match": first]).status == 412)

            let head = try await two("HEAD", "/kv/c")
            #expect(head.status == 200 && head.body.isEmpty && head.etag == second)
            #expect(try await one("DELETE", "/kv/c", ["If-Match": first]).status == 412)
            #expect(try await two.get("/kv/c").json["value"].string == "3")
            #expect(try await through("DELETE", "/kv/c", ["If-Match": second]).status == 204)
            #expect(try await one.get("/kv/c").status == 404)
            #expect(try await one("DELETE", "/kv/c").status == 204)
            #expect(try await two.put("c", "5", ["If-Match": "*"]).status == 412)
            #expect(try await two.put("c", "6", ["If-None-Match": "*"]).status == 201)

            try await incrementsSumUp(cluster)
            try await onlyOneWins(cluster)
            try await bodiesOfAllKinds(cluster)
            try await expiry(cluster)
        }
    }

    private func incrementsSumUp(_ cluster: Cluster) async throws {
        let servers = cluster.servers() + [cluster.controller]
        let unknown = Atomic<Int>(0)
        try await concurrently(0..<200) { index in
            let answer = try await servers[index % servers.count](
                "POST", "/kv/counter/increment", ["Content-Type": "application/json"], body: Array(#"{"by":3}"#.utf8))
            if answer.status == 504 {
                unknown.add(1, ordering: .relaxed)
            } else {
                #expect(answer.status == 200, "\(answer.text)")
            }
        }
        let sum = try await servers[2].get("/kv/counter").json["value"].string.flatMap { Int($0) } ?? 0
        let open = unknown.load(ordering: .relaxed)
        #expect((3 * (200 - open)...600).contains(sum) && sum % 3 == 0)
    }

    private func onlyOneWins(_ cluster: Cluster) async throws {
        let tag = try #require(try await cluster.node("worker1").put("race", "start").etag)
        let winners = Mutex<[String]>([])
        try await concurrently(0..<24, width: 12) { index in
            let answer = try await cluster.servers()[index % 4].put("race", "winner-\(index)", ["If-Match": tag])
            #expect([200, 412].contains(answer.status), "\(answer.text)")
            if answer.status == 200 { winners.withLock { $0.append("winner-\(index)") } }
        }
        let value = try await cluster.node("worker3").get("/kv/race").json["value"].string
        #expect(winners.withLock { $0 } == [value])
    }

    private func bodiesOfAllKinds(_ cluster: Cluster) async throws {
        let (one, four) = (cluster.node("worker1"), cluster.node("worker4"))
        let bytes = (0..<1_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let raw = ["Content-Type": "application/octet-stream"]
        #expect(try await one("PUT", "/kv/raw", raw, body: bytes).status == 200)
        for server in [four, cluster.controller] {
            let answer = try await server.get("/kv/raw", ["Accept": "application/octet-stream"])
            #expect(answer.body == bytes)
            #expect(answer.headers["content-type"] == "application/octet-stream")
            let json = try await server.get("/kv/raw").json
            #expect(json["encoding"].string == "base64")
            #expect(json["value"].string == Data(bytes).base64EncodedString())
        }
        let base64 = #"{"value":"AP8=","encoding":"base64"}"#
        #expect(
            try await four("PUT", "/kv/binary", ["Content-Type": "application/json"], body: Array(base64.utf8)).status
                == 200)
        #expect(try await one.get("/kv/binary", ["Accept": "application/octet-stream"]).body == [0, 0xFF])
        #expect(try await one("PUT", "/kv/nothing", raw, body: []).status == 200)
        #expect(try await four.get("/kv/nothing").json["value"].string?.isEmpty == true)
        let large = [UInt8](repeating: UInt8(ascii: "l"), count: 1 << 20)
        #expect(try await cluster.controller("PUT", "/kv/large", raw, body: large).status == 200)
        for server in [one, cluster.controller] {
            #expect(try await server.get("/kv/large", ["Accept": "application/octet-stream"]).body == large)
        }
        let text = "e\u{301} \u{1F511} \\\" \u{7}"
        #expect(try await one("PUT", "/kv/text", ["Content-Type": "text/plain"], body: Array(text.utf8)).status == 200)
        #expect(try await four.get("/kv/text").json["value"].string?.utf8.elementsEqual(text.utf8) == true)
    }

    private func expiry(_ cluster: Cluster) async throws {
        let (one, two) = (cluster.node("worker1"), cluster.node("worker2"))
        #expect(
            try await one(
                "PUT", "/kv/short", ["Content-Type": "application/json"], body: Array(#"{"value":"x","ttl":1.5}"#.utf8)
            ).status == 200)
        #expect(try await two("PUT", "/kv/long?ttl=600", ["Content-Type": "text/plain"], body: [120]).status == 200)
        let expires = try #require(try await one.get("/kv/long").json["expires_at"].integer)
        #expect(abs(Double(expires) / 1_000 - 600 - Date.now.timeIntervalSince1970) < 60)
        for server in [one, two, cluster.controller] {
            try await eventually("the key expires") { try await server.get("/kv/short").status == 404 }
        }
        #expect(try await two.put("short", "again", ["If-None-Match": "*"]).status == 201)
        #expect(try await one.get("/kv/long").status == 200)
        let keys = try await two.get("/keys?prefix=short").json["keys"].list
        #expect(keys.count == 1 && keys[0]["expires_at"] == .null)
    }

    @Test func `a listing pages through all partitions in the order of bytes`() async throws {
        var settings = ClusterSettings()
        settings.backends = ["file", "sqlite", "lmdb", "sqlite"]
        try await Cluster.with(settings) { cluster in
            let keys = (0..<2_500).map { "k/\($0 % 2 == 0 ? "ä" : "a")/\($0)" }
            try await concurrently(0..<25) { chunk in
                let operations = keys[chunk * 100..<chunk * 100 + 100].map {
                    #"{"op":"put","key":"\#($0)","value":"v-\#($0)"}"#
                }
                let body = "{\"operations\":[\(operations.joined(separator: ","))]}"
                let answer = try await cluster.servers()[chunk % 4](
                    "POST", "/batch", ["Content-Type": "application/json"], body: Array(body.utf8))
                #expect(answer.status == 200)
                #expect(answer.json["results"].list.filter { $0["status"].integer == 200 }.count == 100)
            }
            _ = try await cluster.node("worker1")("DELETE", "/kv/k/a/1")
            let expected = keys.filter { $0 != "k/a/1" }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            for (server, limit) in [
                (cluster.node("worker2"), 1_000), (cluster.controller, 333), (cluster.node("worker4"), 77),
            ] {
                let listed = try await pages(server, "prefix=k/&limit=\(limit)&values=true", limit: limit)
                #expect(listed.map { $0["key"].string } == expected)
                #expect(listed.allSatisfy { $0["value"].string == $0["key"].string.map { "v-\($0)" } })
            }
            let some = try await pages(cluster.node("worker3"), "prefix=k/%C3%A4/1&limit=100", limit: 100)
            #expect(some.map { $0["key"].string } == expected.filter { $0.hasPrefix("k/ä/1") })
            #expect(try await pages(cluster.node("worker3"), "prefix=none", limit: 100).isEmpty)
            let groups = try await cluster.node("worker1").get("/keys?prefix=k/&delimiter=/").json
            #expect(groups["prefixes"].strings == ["k/a/", "k/ä/"])
            #expect(groups["keys"].list.isEmpty)
            try await localReads(cluster, expected)
        }
    }

    /// All entries of a listing; checks that no page is longer than allowed and none but the last is empty.
    private func pages(_ server: HTTP, _ query: String, limit: Int) async throws -> [JSON] {
        var entries: [JSON] = []
        var cursor: String?
        repeat {
            let page = try await server.get("/keys?\(query)\(cursor.map { "&cursor=\($0)" } ?? "")").json
            #expect(page["incomplete"] == .list([]))
            #expect(page["keys"].list.count <= limit)
            entries += page["keys"].list
            cursor = page["next_cursor"].string
            try #require(cursor == nil || !page["keys"].list.isEmpty)
        } while cursor != nil
        return entries
    }

    private func localReads(_ cluster: Cluster, _ keys: [String]) async throws {
        for key in keys.prefix(5) {
            let members = try await cluster.members(of: key)
            for name in cluster.nodes {
                if members.contains(name) {
                    try await eventually("\(name) holds \(key)") {
                        let own = try await cluster.node(name).get("/kv/\(key)?consistency=local")
                        return own.status == 200 && own.json["value"].string == "v-\(key)"
                            && own.headers["kv-served-by"] == name
                    }
                } else {
                    let own = try await cluster.node(name).get("/kv/\(key)?consistency=local")
                    #expect(own.status == 404 && own.json["code"].string == "not_a_member", "\(own.text)")
                }
            }
            let picked = try await cluster.controller.get("/kv/\(key)?consistency=local&node=\(members[1])")
            #expect(picked.headers["kv-served-by"] == members[1])
        }
    }
}
