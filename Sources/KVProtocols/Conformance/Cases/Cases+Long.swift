import KVProtocols

extension ConformanceSuite {
    static let longCases: [ConformanceCase] = [
        ConformanceCase("a store with a million keys opens again with all of them", needs: .time) { store in
            let clock = ContinuousClock()
            let count = 1_000_000
            func key(_ number: Int) throws -> Key { try Key("key-\(number)") }
            func record(_ number: Int, _ key: Key) -> Record {
                let version = Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: UInt64(number))
                return Record(key: key, version: version, value: Array("value of \(number)".utf8))
            }
            let loading = try clock.measure {
                for start in stride(from: 0, to: count, by: 50_000) {
                    var batch: [(key: Key, operation: StorageOperation)] = []
                    for number in start..<start + 50_000 {
                        let key = try key(number)
                        batch.append((key, .put(key.partition, key, record(number, key))))
                    }
                    batch.sort { ($0.key.partition.rawValue, $0.key) < ($1.key.partition.rawValue, $1.key) }
                    try store.backend.apply(batch.map(\.operation))
                    store.suite.progress("\(start + 50_000) of \(count) keys are loaded")
                }
            }
            let reopening = try clock.measure { try store.reopen() }
            try store.expectCount(UInt64(count), "keys after reopening")
            for number in stride(from: 0, to: count, by: 997) {
                let key = try key(number)
                try store.expectEqual(store.read(key), record(number, key), "\(key) after reopening")
            }
            var found = 0
            let scanning = try clock.measure {
                for number in 0..<partitions {
                    found += try store.keys(PartitionID(UInt16(number)), limit: 10_000, values: false).count
                }
            }
            try store.expectEqual(found, count, "keys that scans find")
            store.suite.progress(
                "loaded in \(seconds(loading)), opened again in \(seconds(reopening)), scanned in \(seconds(scanning))")
        }
    ]

    private static func seconds(_ duration: Duration) -> String {
        let milliseconds = duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
        return "\(milliseconds / 1000).\(milliseconds / 100 % 10) s"
    }
}
