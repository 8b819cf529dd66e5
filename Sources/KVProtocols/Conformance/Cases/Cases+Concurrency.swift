import KVProtocols
import Synchronization

extension ConformanceSuite {
    static let concurrencyCases: [ConformanceCase] = [
        ConformanceCase("reads while batches are applied see whole records and never go back") { store in
            let keys = try (0..<8).map { try Key("{t}\($0)") }
            let backend = store.backend
            let isDone = Atomic<Bool>(false)
            // Record n of a key has sequence n and a value made of n: a mix of two would not match its checksum.
            @Sendable func batch(_ round: UInt64) -> [StorageOperation] {
                keys.map { key in
                    let version = Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: round)
                    let value = [UInt8](repeating: UInt8(round & 0xFF), count: Int(round * 37 % 5000))
                    return .put(
                        key.partition, key, Record(key: key, version: version, value: round % 7 == 3 ? nil : value))
                }
            }
            try backend.apply(batch(1))
            var work: [@Sendable () throws -> Void] = [
                {
                    defer { isDone.store(true, ordering: .releasing) }
                    for round in 2...60 as ClosedRange<UInt64> { try backend.apply(batch(round)) }
                }
            ]
            for _ in 0..<3 {
                work.append {
                    var seen: [Key: Version] = [:]
                    while !isDone.load(ordering: .acquiring) { try observe(backend, keys, &seen) }
                }
            }
            try Threads.run(work)
            for key in keys {
                try store.expectEqual(store.read(key)?.version.sequence, 60, "the last version of \(key)")
            }
        },
        ConformanceCase("calls that run while the store is closed end or say so") { store in
            let key = try Key("k")
            try store.put(key, [1])
            let backend = store.backend
            let isClosed = Atomic<Bool>(false)
            let reader: @Sendable () throws -> Void = {
                do {
                    while !isClosed.load(ordering: .acquiring) { _ = try backend.read(key.partition, key) }
                    _ = try backend.read(key.partition, key)
                } catch let error as StorageError where error.code == .closed {
                    return
                }
                throw ConformanceFailure("a read that began after the store was closed was answered")
            }
            let closer: @Sendable () throws -> Void = {
                defer { isClosed.store(true, ordering: .releasing) }
                try backend.close()
            }
            try Threads.run([reader, reader, closer])
        },
        ConformanceCase("reads go on while a batch waits for the disk", needs: .worker) { store in
            #if os(Linux)
            try HeldSyncs(store).run()
            #else
            throw ConformanceSkip("system calls can be traced on Linux only")
            #endif
        },
    ]

    private static func observe(_ backend: any StorageBackend, _ keys: [Key], _ seen: inout [Key: Version]) throws {
        func check(_ key: Key, _ version: Version?) throws {
            guard let version else { throw ConformanceFailure("\(key) was missing while batches were applied") }
            if let last = seen[key], version < last {
                throw ConformanceFailure("\(key) went back from \(last) to \(version)")
            }
            seen[key] = version
        }
        for key in keys { try check(key, backend.read(key.partition, key)?.version) }
        for key in keys { try check(key, backend.version(key.partition, key)) }
        let page = try backend.scan(ScanRequest(partition: keys[0].partition, limit: 100))
        guard page.entries.map(\.key) == keys.sorted() else {
            throw ConformanceFailure("a scan while batches were applied found \(page.entries.map(\.key))")
        }
        for entry in page.entries { try check(entry.key, entry.record?.version) }
        _ = try backend.statistics()
    }
}
