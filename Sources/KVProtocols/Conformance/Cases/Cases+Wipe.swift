import KVProtocols

extension ConformanceSuite {
    static let wipeCases: [ConformanceCase] = [
        ConformanceCase("a wipe forgets one partition with its metadata and nothing else") { store in
            let keys = try (0..<100).map { try Key("key-\($0)") }
            let node = MetadataScope.node
            let wiped = keys[0].partition
            let other = PartitionID((wiped.rawValue + 1) % UInt16(ConformanceSuite.partitions))
            try store.backend.apply(
                keys.enumerated().map { .put($1.partition, $1, store.record($1, $0 % 3 == 0 ? nil : [1])) } + [
                    .metadata(node, "m", [1]), .metadata(.partition(wiped), "m", [2]),
                    .metadata(.partition(other), "m", [3]),
                ])
            try store.backend.apply([.wipe(wiped)])
            for key in keys {
                try store.expectEqual(store.read(key) == nil, key.partition == wiped, "absence of \(key)")
            }
            try store.expectEqual(store.keys(wiped), [], "scan of the wiped partition")
            try store.expectEqual(store.backend.metadata(.partition(wiped), "m"), nil, "its metadata")
            try store.expectEqual(store.backend.metadata(.partition(other), "m"), [3], "another partition's metadata")
            try store.expectEqual(store.backend.metadata(node, "m"), [1], "the node's metadata")
            let left = UInt64(keys.count { $0.partition != wiped })
            try store.expectCount(left, "keys")
        },
        ConformanceCase("a wipe in the middle of a batch cuts it in two") { store in
            let before = try Key("{t}before")
            let after = try Key("{t}after")
            let partition = before.partition
            let record = store.record(after, [2])
            try store.backend.apply([
                .put(partition, before, store.record(before, [1])), .metadata(.partition(partition), "old", [1]),
                .wipe(partition), .put(partition, after, record), .metadata(.partition(partition), "new", [2]),
            ])
            try store.expectEqual(store.keys(partition), [after], "keys")
            try store.expectEqual(store.read(after), record, "a put behind the wipe")
            try store.expectEqual(store.backend.metadata(.partition(partition), "old"), nil, "metadata before the wipe")
            try store.expectEqual(store.backend.metadata(.partition(partition), "new"), [2], "metadata behind the wipe")
        },
        ConformanceCase("wiping an empty partition is nothing") { store in
            try store.backend.apply([.wipe(PartitionID(0)), .wipe(PartitionID(0))])
            try store.expectCount(0, "keys")
        },
    ]

    static let metadataCases: [ConformanceCase] = [
        ConformanceCase("metadata belongs to its scope and name") { store in
            let scopes: [MetadataScope] = [.node, .partition(PartitionID(0)), .partition(PartitionID(7))]
            for (number, scope) in scopes.enumerated() {
                try store.backend.apply([
                    .metadata(scope, "a", [UInt8(number)]), .metadata(scope, "a_1", [UInt8(number), 1]),
                ])
            }
            for (number, scope) in scopes.enumerated() {
                try store.expectEqual(store.backend.metadata(scope, "a"), [UInt8(number)], "a of \(scope)")
                try store.expectEqual(store.backend.metadata(scope, "a_1"), [UInt8(number), 1], "a_1 of \(scope)")
                try store.expectEqual(store.backend.metadata(scope, "b"), nil, "b of \(scope)")
            }
        },
        ConformanceCase("metadata is replaced and removed, and may be empty or 1 MiB long") { store in
            let large = [UInt8](repeating: 7, count: 1 << 20)
            for value in [[1], [], large, nil, [2]] as [[UInt8]?] {
                try store.backend.apply([.metadata(.node, "m", value)])
                let found = try store.backend.metadata(.node, "m")
                try store.expect(found == value, "after a write of \(value?.count ?? -1) bytes: \(found?.count ?? -1)")
            }
            try store.backend.apply([.metadata(.node, "absent", nil)])
        },
        ConformanceCase("metadata is no key") { store in
            try store.backend.apply([
                .metadata(.node, "metadata", [1]), .metadata(.partition(PartitionID(1)), "records", [1]),
            ])
            for number in 0..<ConformanceSuite.partitions {
                try store.expectEqual(store.keys(PartitionID(UInt16(number))), [], "partition \(number)")
            }
            try store.expectCount(0, "keys")
        },
        ConformanceCase("the longest name of metadata works") { store in
            let name = String(repeating: "z", count: 62) + "_9"
            try store.backend.apply([.metadata(.partition(PartitionID(2)), name, [1])])
            try store.expectEqual(store.backend.metadata(.partition(PartitionID(2)), name), [1], "value")
        },
    ]
}
