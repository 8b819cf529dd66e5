import KVProtocols

extension ConformanceSuite {
    /// The edges of what may be stored.
    static let limitCases: [ConformanceCase] = [
        ConformanceCase("a key of 480 bytes and a value of 1 MiB are stored") { store in
            let key = try Key(String(repeating: "k", count: Key.maximumLength))
            let value = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let record = try store.put(key, value)
            try store.expectEqual(store.read(key), record, "read")
            try store.expectEqual(store.keys(key.partition), [key], "scan")
        },
        ConformanceCase("many long values fit into one batch and are paged out again") { store in
            let keys = try (0..<24).map { try Key("{long}\($0 + 10)") }
            let records = keys.map { store.record($0, [UInt8](repeating: $0.bytes[6], count: 1 << 20)) }
            try store.backend.apply(zip(keys, records).map { .put($0.partition, $0, $1) })
            let found = try store.scan(ScanRequest(partition: keys[0].partition, limit: 1000))
            try store.expectEqual(found.map(\.key), keys, "keys")
            try store.expect(found.map(\.record) == records.map(Optional.some), "the values differ")
        },
        ConformanceCase("a batch outside the limits is refused as a whole") { store in
            let good = try Key("good")
            let long = Key(unchecked: [UInt8](repeating: 120, count: Key.maximumLength + 1))
            let empty = Key(unchecked: [])
            let partition = good.partition
            let strange = PartitionID(UInt16(ConformanceSuite.partitions))
            let name = String(repeating: "n", count: 65)
            let bad: [(String, StorageOperation)] = [
                ("a key of 481 bytes", .put(partition, long, store.record(long, [1]))),
                ("an empty key", .put(partition, empty, store.record(empty, [1]))),
                ("an unknown partition", .put(strange, good, store.record(good, [1]))),
                ("a wipe of an unknown partition", .wipe(strange)),
                ("metadata of an unknown partition", .metadata(.partition(strange), "x", [1])),
                ("a name of 65 bytes", .metadata(.node, name, [1])),
                ("an empty name", .metadata(.node, "", [1])),
                ("a name with a slash", .metadata(.node, "../x", [1])),
                ("metadata over 1 MiB", .metadata(.node, "x", [UInt8](repeating: 0, count: 1 << 20 + 1))),
            ]
            for (what, operation) in bad {
                try store.expect(.invalid, what) {
                    try store.backend.apply([.put(partition, good, store.record(good, [1])), operation])
                }
                try store.expectEqual(store.read(good), nil, "an operation before \(what)")
            }
        },
        ConformanceCase("keys that no store can hold are absent, not errors") { store in
            let long = Key(unchecked: [UInt8](repeating: 120, count: 2000))
            try store.expectEqual(store.backend.read(PartitionID(0), long), nil, "read of an overlong key")
            let strange = PartitionID(UInt16(ConformanceSuite.partitions))
            try store.expectEqual(store.backend.read(strange, Key("k")), nil, "read in an unknown partition")
            try store.expectEqual(store.keys(strange), [], "scan of an unknown partition")
            try store.expectEqual(
                store.backend.metadata(.partition(strange), "x"), nil, "metadata of an unknown partition")
        },
    ]
}
