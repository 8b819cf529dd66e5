import KVProtocols

extension ConformanceSuite {
    /// Keys that an engine might take for something else: a path, an escape, a hidden file, a statement, the end.
    static let hostileKeys: [String] = {
        let awkward = [
            ".", "..", "...", "/", "//", "/etc/passwd", "../../etc/passwd", "a/b", "a/", "/a", "./a", "a/../b",
            ".hidden",
            ".backend-metadata", ".backend-tombstones/x", ".backend-type", ".kv", "%", "%%", "%2e", "%2E", "%2e%2e%2f",
            "%00",
            "%2F", "%~", "~", "-rf", "--", "*", "?", "[a]", "a b", " ", "  a ", "\t", "\n", "\r\n", "a\u{1}b", "\u{7F}",
            "\\",
            "\\..\\", "\"", "'", "'; DROP TABLE records; --", "$(id)", "`id`", "|", "&", ";", "#", "{", "}", "{}",
            "{t}", "{}{t}",
            "data.mdb", "lock.mdb", "kv.sqlite3", "metadata", "records", "lost+found", "CON", "null", "a:b", "C:\\",
        ]
        let unicode = [
            "é", "e\u{301}", "ß", "ẞ", "İ", "ı", "日本語", "مرحبا", "👩‍👩‍👧‍👦", "🇨🇭", "\u{202E}abc", "\u{FEFF}", "\u{FFFD}",
            "\u{10FFFF}",
            "\u{80}", "\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10000}", "a", "A", "Key", "KEY", "key",
        ]
        let long = [
            String(repeating: "/", count: 480), String(repeating: "%", count: 480), String(repeating: ".", count: 480),
            String(repeating: "a", count: 255), String(repeating: "a", count: 256), String(repeating: "a", count: 480),
            String(repeating: "a", count: 479) + "b", String(repeating: "é", count: 127),
            String(repeating: "é", count: 128),
            String(repeating: "é", count: 240), String(repeating: "👍", count: 120), String(repeating: "/", count: 85),
            String(repeating: "/", count: 86), "." + String(repeating: "a", count: 252),
            "." + String(repeating: "a", count: 253),
        ]
        return awkward + unicode + long
    }()

    static let keyCases: [ConformanceCase] = [
        ConformanceCase("hostile keys are ordinary keys") { store in
            let keys = try hostileKeys.map { try Key($0) }
            for (number, key) in keys.enumerated() { try store.put(key, Array("value \(number)".utf8)) }
            for (number, key) in keys.enumerated() {
                try store.expectEqual(store.read(key)?.value, Array("value \(number)".utf8), "value of \(key)")
            }
            try store.expectCount(UInt64(keys.count), "keys")
            try expectKeys(keys, store)
        },
        ConformanceCase("hostile keys survive reopening, deletion and purging", needs: .durability) { store in
            let keys = try hostileKeys.map { try Key($0) }
            try store.backend.apply(keys.map { .put($0.partition, $0, store.record($0, $0.bytes)) })
            try store.reopen()
            for key in keys { try store.expectEqual(store.read(key)?.value, key.bytes, "value of \(key)") }
            try expectKeys(keys, store)
            try store.backend.apply(keys.map { .put($0.partition, $0, store.record($0, nil)) })
            try store.reopen()
            for key in keys { try store.expectEqual(store.read(key)?.isTombstone, true, "tombstone of \(key)") }
            try expectKeys(keys, store)
            try store.backend.apply(keys.map { .purge($0.partition, $0) })
            try store.reopen()
            try expectKeys([], store)
        },
        ConformanceCase("hostile keys stay inside the folder", needs: .durability) { store in
            let parent = String(store.folder.prefix(upTo: store.folder.lastIndex(of: "/") ?? store.folder.startIndex))
            let mine = store.folder.dropFirst(parent.count + 1)
            let canary = "canary-\(mine)"
            try store.put(Key("../\(canary)"), [1])
            try store.put(Key("\(parent)/\(canary)"), [1])
            try store.expect(!FileTree.names(parent).contains(canary), "a key wrote a file outside the folder")
        },
        ConformanceCase("values may be any bytes") { store in
            let key = try Key("bytes")
            for value in [(0...255).map { UInt8($0) }, [0], [0, 0, 0], [0xFF, 0xFE], Array("x'00'".utf8)] {
                try store.put(key, value)
                try store.expectEqual(store.read(key)?.value, value, "value")
            }
        },
    ]

    /// Checks that exactly `keys` are found by scans.
    static func expectKeys(_ keys: [Key], _ store: ConformanceStore) throws {
        for number in 0..<partitions {
            let partition = PartitionID(UInt16(number))
            let wanted = keys.filter { $0.partition == partition }.sorted()
            try store.expectEqual(store.keys(partition, limit: 5), wanted, "keys of partition \(number)")
        }
    }
}
