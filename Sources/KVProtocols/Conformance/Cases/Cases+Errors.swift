import KVProtocols

extension ConformanceSuite {
    static let errorCases: [ConformanceCase] = [
        ConformanceCase("a closed store refuses every call, and closing twice is harmless") { store in
            let key = try Key("k")
            let record = try store.put(key, [1])
            let backend = store.backend
            try backend.close()
            try backend.close()
            try store.expect(.closed, "read") { _ = try backend.read(key.partition, key) }
            try store.expect(.closed, "version") { _ = try backend.version(key.partition, key) }
            try store.expect(.closed, "scan") { _ = try backend.scan(ScanRequest(partition: key.partition, limit: 1)) }
            try store.expect(.closed, "apply") { try backend.apply([.put(key.partition, key, record)]) }
            try store.expect(.closed, "metadata") { _ = try backend.metadata(.node, "m") }
            try store.expect(.closed, "statistics") { _ = try backend.statistics() }
            try store.expect(.closed, "destroy") { try backend.destroy() }
            try store.expect(backend.capabilities.maximumValueLength >= 1 << 20, "values of 1 MiB must be possible")
        },
        ConformanceCase("a record that doesn't match its checksum is never returned") { store in
            let key = try Key("{t}wrong")
            let other = try Key("{t}right")
            var record = store.record(key, [1, 2, 3])
            record.value = [1, 2, 4]
            try store.put(other, [9])
            try store.backend.apply([.put(key.partition, key, record)])
            try expectDamage(of: key, beside: other, store)
        },
        ConformanceCase("a record of another key is never returned") { store in
            let key = try Key("{t}b")
            let other = try Key("{t}a")
            let record = try store.put(other, [1, 2, 3])
            try store.backend.apply([.put(key.partition, key, record)])
            try expectDamage(of: key, beside: other, store)
        },
        ConformanceCase("a record damaged on the disk is noticed, and a new one heals it", needs: .damage) { store in
            let key = try Key("{t}victim")
            let other = try Key("{t}bystander")
            try store.put(other, [9])
            try store.put(key, Array("a value that occurs nowhere else in this store: 7c1f0e55".utf8))
            try store.damage(key)
            try expectDamage(of: key, beside: other, store)
        },
    ]

    private static func expectDamage(of key: Key, beside other: Key, _ store: ConformanceStore) throws {
        try store.expect(.damaged, "read") { _ = try store.read(key) }
        let entries = try store.scan(ScanRequest(partition: key.partition, limit: 10))
        try store.expectEqual(entries.map(\.key), [key, other].sorted(), "keys of a scan")
        for entry in entries {
            try store.expectEqual(entry.record == nil, entry.key == key, "absence of the record of \(entry.key)")
        }
        try store.expectEqual(store.read(other) != nil, true, "the record beside it is readable")
        let record = try store.put(key, [5])
        try store.expectEqual(store.read(key), record, "the record written over it")
        try store.backend.apply([.purge(key.partition, key)])
        try store.expectEqual(store.read(key), nil, "the record after a purge")
    }
}
