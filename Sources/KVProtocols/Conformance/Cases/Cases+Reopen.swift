import KVProtocols

extension ConformanceSuite {
    static let reopenCases: [ConformanceCase] = [
        ConformanceCase("everything is there after reopening", needs: .durability) { store in
            let keys = try (0..<300).map { try Key("key-\($0)") }
            let records = keys.enumerated().map { number, key in
                store.record(key, number % 5 == 0 ? nil : [UInt8](repeating: UInt8(number & 0xFF), count: number * 7))
            }
            try store.backend.apply(
                zip(keys, records).map { .put($0.partition, $0, $1) } + [
                    .metadata(.node, "n", [1, 2]), .metadata(.partition(PartitionID(5)), "p", []),
                ])
            for round in 1...2 {
                try store.reopen()
                for (key, record) in zip(keys, records) {
                    try store.expectEqual(store.read(key), record, "\(key) after reopening \(round) times")
                }
                try store.expectEqual(store.backend.metadata(.node, "n"), [1, 2], "metadata of the node")
                try store.expectEqual(
                    store.backend.metadata(.partition(PartitionID(5)), "p"), [], "metadata of a partition")
                try store.expectCount(300, "keys")
                try expectKeys(keys, store)
            }
        },
        ConformanceCase("purges and wipes last after reopening", needs: .durability) { store in
            let purged = try Key("{a}purged")
            let wiped = try Key("{b}wiped")
            let kept = try Key("{a}kept")
            for key in [purged, wiped, kept] { try store.put(key, [1]) }
            try store.backend.apply([
                .metadata(.partition(wiped.partition), "m", [1]), .purge(purged.partition, purged),
                .wipe(wiped.partition),
            ])
            try store.reopen()
            try store.expectEqual(store.read(purged), nil, "a purged key")
            try store.expectEqual(store.read(wiped), nil, "a wiped key")
            try store.expectEqual(store.backend.metadata(.partition(wiped.partition), "m"), nil, "wiped metadata")
            try store.expectEqual(store.read(kept)?.value, [1], "a key beside them")
        },
        ConformanceCase("the node's own files are left alone", needs: .durability) { store in
            let own = "\(store.folder)/.kv-note"
            FileTree.createEmptyFile(own)
            try store.put(Key("k"), [1])
            try store.reopen()
            try expectKeys([Key("k")], store)
            try store.backend.destroy()
            try store.expect(FileTree.names(store.folder).contains(".kv-note"), "destroy removed a file of the node")
        },
        // The registry's own marker may stay: it is written before the engine opens.
        ConformanceCase("destroy leaves nothing behind") { store in
            for number in 0..<50 { try store.put(Key("k/\(number)"), number % 2 == 0 ? nil : [1]) }
            try store.put(Key(String(repeating: "/", count: 480)), [1])
            try store.backend.apply([.metadata(.node, "n", [1]), .metadata(.partition(PartitionID(1)), "p", [1])])
            try store.backend.destroy()
            let left = FileTree.names(store.folder).filter { $0 != ".backend-type" }
            try store.expectEqual(left, [], "files")
            try store.expect(.closed, "read after destroy") { _ = try store.read(Key("k/1")) }
            try store.open()
            try store.expectCount(0, "keys of a new store in the same folder")
            try store.expectEqual(store.backend.metadata(.node, "n"), nil, "metadata of a new store in the same folder")
        },
    ]
}
