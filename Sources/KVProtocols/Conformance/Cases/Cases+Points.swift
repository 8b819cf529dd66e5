import KVProtocols

extension ConformanceSuite {
    /// One key at a time.
    static let pointCases: [ConformanceCase] = [
        ConformanceCase("an unknown key has no record and no version") { store in
            let key = try Key("absent")
            try store.expectEqual(store.read(key), nil, "read")
            try store.expectEqual(store.backend.version(key.partition, key), nil, "version")
        },
        ConformanceCase("a value is read as it was stored") { store in
            let key = try Key("colour")
            let record = try store.put(key, Array("blue".utf8), expiresAt: 1_900_000_000_123)
            try store.expectEqual(store.read(key), record, "read")
            try store.expectEqual(store.backend.version(key.partition, key), record.version, "version")
        },
        ConformanceCase("the largest numbers of a header survive") { store in
            let key = try Key("large")
            let version = Version(ballot: Ballot(counter: .max, node: NodeID(.max)), sequence: .max)
            let record = Record(key: key, version: version, value: [1], expiresAt: .max)
            try store.backend.apply([.put(key.partition, key, record)])
            try store.expectEqual(store.read(key), record, "read")
            try store.expectEqual(store.backend.version(key.partition, key), version, "version")
        },
        ConformanceCase("a later record replaces an earlier one, longer or shorter") { store in
            let key = try Key("k")
            for length in [10, 5000, 0, 100_000, 1] {
                let record = try store.put(key, [UInt8](repeating: UInt8(length & 0xFF), count: length))
                try store.expectEqual(store.read(key), record, "read after a put of \(length) bytes")
            }
        },
        ConformanceCase("versions are not compared: an older one replaces a newer one") { store in
            let key = try Key("k")
            let old = store.record(key, [1])
            try store.put(key, [2])
            try store.backend.apply([.put(key.partition, key, old)])
            try store.expectEqual(store.read(key), old, "read")
        },
        ConformanceCase("a tombstone is a record, not an absence") { store in
            let key = try Key("k")
            try store.put(key, [1])
            let tombstone = try store.put(key, nil)
            try store.expectEqual(store.read(key), tombstone, "read")
            try store.expectEqual(store.backend.version(key.partition, key), tombstone.version, "version")
            try store.expectEqual(store.keys(key.partition), [key], "scan")
            let record = try store.put(key, [])
            try store.expectEqual(store.read(key), record, "an empty value after the tombstone")
        },
        ConformanceCase("a purged key is unknown, and purging an unknown one is nothing") { store in
            let live = try Key("live")
            let dead = try Key("dead")
            try store.put(live, [1])
            try store.put(dead, nil)
            try store.backend.apply([
                .purge(live.partition, live), .purge(dead.partition, dead), .purge(live.partition, live),
            ])
            try store.expectEqual(store.read(live), nil, "read of a purged value")
            try store.expectEqual(store.read(dead), nil, "read of a purged tombstone")
            try store.expectEqual(store.keys(live.partition), [], "scan")
        },
        ConformanceCase("operations of a batch happen in their order") { store in
            let key = try Key("k")
            let other = try Key("other")
            let records = (0..<4).map { store.record(key, [UInt8($0)]) }
            let first = store.record(other, [9])
            try store.backend.apply([
                .put(key.partition, key, records[0]), .put(other.partition, other, first),
                .put(key.partition, key, records[1]), .purge(key.partition, key),
                .put(key.partition, key, store.record(key, nil)), .put(key.partition, key, records[2]),
                .purge(other.partition, other),
            ])
            try store.expectEqual(store.read(key), records[2], "the last put")
            try store.expectEqual(store.read(other), nil, "the last operation is a purge")
        },
        ConformanceCase("an empty batch is nothing") { store in
            try store.backend.apply([])
            try store.expectCount(0, "keys")
        },
        ConformanceCase("a large batch is applied as a whole") { store in
            let keys = try (0..<2000).map { try Key("key-\($0)") }
            let records = keys.map { store.record($0, Array($0.bytes.reversed())) }
            try store.backend.apply(zip(keys, records).map { .put($0.partition, $0, $1) })
            for (key, record) in zip(keys, records) { try store.expectEqual(store.read(key), record, "read of \(key)") }
            try store.expectCount(2000, "keys")
        },
        ConformanceCase("statistics count records and look at the disk") { store in
            for number in 0..<20 {
                try store.put(Key("s\(number)"), number % 4 == 0 ? nil : [UInt8](repeating: 1, count: 4096))
            }
            let statistics = try store.backend.statistics()
            try store.expectCount(20, "keys, tombstones included")
            guard store.backend.capabilities.durable else { return }
            try store.expect(statistics.bytesOnDisk > 0, "bytesOnDisk is 0 although there is data")
            try store.expect(statistics.bytesFree > 0, "bytesFree is 0")
        },
    ]
}
