import KVProtocols

extension ConformanceSuite {
    /// Order and paging. The keys share a hash tag, and so a partition.
    static let scanCases: [ConformanceCase] = [
        ConformanceCase("a scan is in the order of key bytes") { store in
            let names = ["b", "a", "aa", "B", "~", "z", "é", "日本", "a b", "a%", "a/", "a-", "0", "10", "9"]
            let keys = try names.map { try Key("{t}\($0)") }
            for key in keys { try store.put(key, key.bytes) }
            try store.expectEqual(store.keys(keys[0].partition), keys.sorted(), "keys")
        },
        ConformanceCase("pages of every size give the same entries") { store in
            let keys = try (0..<37).map { try Key("{t}\($0)") }
            for key in keys { try store.put(key, key.bytes.count % 2 == 0 ? nil : key.bytes) }
            let all = try store.scan(ScanRequest(partition: keys[0].partition, limit: 1000))
            try store.expectEqual(all.map(\.key), keys.sorted(), "all keys")
            for limit in [1, 2, 3, 36, 37, 38] {
                let paged = try store.scan(ScanRequest(partition: keys[0].partition, limit: limit))
                try store.expect(paged == all, "pages of \(limit) give other entries than one page")
            }
        },
        ConformanceCase("the last page says that it is the last") { store in
            let keys = try ["{t}1", "{t}2", "{t}3"].map { try Key($0) }
            for key in keys { try store.put(key, [1]) }
            let partition = keys[0].partition
            let exact = try store.backend.scan(ScanRequest(partition: partition, limit: 4))
            try store.expect(
                exact.isLast && exact.entries.count == 3, "a page beyond the end is not the last: \(exact)")
            let first = try store.backend.scan(ScanRequest(partition: partition, limit: 2))
            try store.expect(!first.isLast, "a page with more behind it says that it is the last")
        },
        ConformanceCase("a scan goes on after any key, present or not") { store in
            let keys = try ["{t}a", "{t}c", "{t}e"].map { try Key($0) }
            for key in keys { try store.put(key, [1]) }
            let partition = keys[0].partition
            try store.expectEqual(store.keys(partition, after: keys[0]), Array(keys[1...]), "after a present key")
            try store.expectEqual(store.keys(partition, after: Key("{t}b")), Array(keys[1...]), "after an absent key")
            try store.expectEqual(store.keys(partition, after: keys[2]), [], "after the last key")
            try store.expectEqual(store.keys(partition, after: Key("~")), [], "after everything")
            try store.expectEqual(store.keys(partition, after: Key("!")), keys, "before everything")
        },
        ConformanceCase("a prefix limits a scan") { store in
            let names = ["{t}a", "{t}ab", "{t}ab/1", "{t}ab/2", "{t}abc", "{t}b", "{t}é1", "{t}é2"]
            let keys = try names.map { try Key($0) }
            for key in keys { try store.put(key, [1]) }
            let partition = keys[0].partition
            for limit in [1, 2, 100] {
                try store.expectEqual(store.keys(partition, prefix: "{t}ab", limit: limit), Array(keys[1...4]), "{t}ab")
                try store.expectEqual(
                    store.keys(partition, prefix: "{t}ab/", limit: limit), Array(keys[2...3]), "{t}ab/")
                try store.expectEqual(store.keys(partition, prefix: "{t}é", limit: limit), Array(keys[6...7]), "{t}é")
                try store.expectEqual(store.keys(partition, prefix: "{t}x", limit: limit), [], "{t}x")
            }
            let long = String(repeating: "p", count: 600)
            try store.expectEqual(store.keys(partition, prefix: long), [], "a prefix longer than any key")
            let page = try store.backend.scan(ScanRequest(partition: partition, prefix: Array("{t}a".utf8), limit: 5))
            try store.expect(page.isLast, "the last page of a prefix says that more follow")
        },
        ConformanceCase("prefix and start combine") { store in
            let keys = try ["{t}a1", "{t}b1", "{t}b2", "{t}b3", "{t}c1"].map { try Key($0) }
            for key in keys { try store.put(key, [1]) }
            let partition = keys[0].partition
            try store.expectEqual(store.keys(partition, after: keys[1], prefix: "{t}b"), Array(keys[2...3]), "inside")
            try store.expectEqual(store.keys(partition, after: keys[0], prefix: "{t}b"), Array(keys[1...3]), "before")
            try store.expectEqual(store.keys(partition, after: keys[4], prefix: "{t}b"), [], "behind")
            try store.expectEqual(
                store.keys(partition, after: Key("{t}b"), prefix: "{t}b"), Array(keys[1...3]), "equal")
        },
        ConformanceCase("a scan without values gives headers") { store in
            let live = try Key("{t}live")
            let dead = try Key("{t}dead")
            let record = try store.put(live, [1, 2, 3], expiresAt: 77)
            let tombstone = try store.put(dead, nil)
            let request = ScanRequest(partition: live.partition, limit: 10, values: false)
            let entries = try store.scan(request)
            try store.expectEqual(entries.map(\.key), [dead, live], "keys")
            try store.expectEqual(entries[0].record, tombstone, "the tombstone")
            try store.expectEqual(entries[1].record?.value, [], "the value of a live record")
            try store.expectEqual(entries[1].record?.version, record.version, "the version")
            try store.expectEqual(entries[1].record?.expiresAt, 77, "the expiry")
            try store.expectEqual(entries[1].record?.checksum, record.checksum, "the checksum")
        },
        ConformanceCase("a scan sees one partition only") { store in
            let keys = try (0..<200).map { try Key("key-\($0)") }
            try store.backend.apply(keys.map { .put($0.partition, $0, store.record($0, [1])) })
            for number in 0..<ConformanceSuite.partitions {
                let partition = PartitionID(UInt16(number))
                let wanted = keys.filter { $0.partition == partition }.sorted()
                try store.expectEqual(store.keys(partition, limit: 7), wanted, "partition \(number)")
            }
        },
        ConformanceCase("an empty partition has one empty page, the last") { store in
            let page = try store.backend.scan(ScanRequest(partition: PartitionID(3), limit: 10))
            try store.expectEqual(page, ScanPage(entries: [], isLast: true), "page")
        },
    ]
}
