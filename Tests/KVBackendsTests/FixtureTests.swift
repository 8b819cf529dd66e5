import Foundation
import KVConformance
import KVProtocols
import Testing

/// Folders as released versions wrote them stay readable. `Fixtures/format-N` has one archive for each engine. A new format
/// gets a folder of its own, made by
///
///     KV_WRITE_FIXTURES=Tests/KVBackendsTests/Fixtures/format-2 swift test --filter FixtureTests
@Suite struct FixtureTests {
    /// What every fixture holds. Never to be changed: archives don't change either.
    private static let records: [(key: String, record: Record)] = {
        func made(
            _ text: String, _ counter: UInt64, _ node: UInt32, _ sequence: UInt64, _ value: [UInt8]?,
            _ expiry: UInt64 = 0
        ) -> (String, Record) {
            let version = Version(ballot: Ballot(counter: counter, node: NodeID(node)), sequence: sequence)
            let key = Key(unchecked: Array(text.utf8))
            return (text, Record(key: key, version: version, value: value, expiresAt: expiry))
        }
        return [
            made("mykey", 1, 1, 1, Array("myvalue".utf8)),
            made("empty", 2, 1, 2, []),
            made("deleted", 3, 2, 9, nil),
            made("expires", 3, 2, 10, [1, 2, 3], 1_900_000_000_123),
            made("every byte", 4, 3, 11, (0...255).map { UInt8($0) }),
            made("long value", 5, 3, 12, (0..<20_000).map { UInt8(truncatingIfNeeded: $0 * 7 >> 3) }),
            made("../a/b", 6, 1, 13, Array("slashes".utf8)),
            made(".hidden", 6, 1, 14, Array("a dot".utf8)),
            made("日本語 é", 7, 1, 15, Array("text".utf8)),
            made(String(repeating: "/long", count: 96), 8, 1, 16, Array("480 bytes of key".utf8)),
            made(String(repeating: "x", count: 480), 9, 1, 17, nil),
            made("largest", .max, .max, .max, [0xFF], .max),
        ]
    }()

    private static let metadata: [(scope: MetadataScope, name: String, value: [UInt8])] = [
        (.node, "identity", Array("who I am".utf8)), (.node, "empty", []),
        (.partition(PartitionID(0)), "checkpoint", [1, 2, 3]),
        (.partition(PartitionID(7)), "digest", [UInt8](repeating: 9, count: 3_000)),
    ]

    /// Of the engines that are released; those of plugins have formats of their own.
    private static let engines = Engine.durable.filter { $0.library == nil }

    private static var formats: [(format: String, type: String)] { engines.map { ("format-1", $0.factory.type) } }

    @Test("a folder of every released format is read record by record", arguments: formats)
    func read(format: String, type: String) throws {
        let archive = try #require(
            Bundle.module.path(forResource: "\(type).tar", ofType: "gz", inDirectory: "Fixtures/\(format)"))
        let folder = try TestFolder()
        try #require(
            output(
                of: "/bin/tar",
                ["--xattrs", "--xattrs-include=user.*", "--no-same-owner", "-xzf", archive, "-C", folder.path]) != nil)
        let backend = try #require(Engine.named(type)).open(folder)
        for (text, record) in FixtureTests.records {
            let key = try Key(text)
            #expect(try backend.read(key.partition, key) == record, "\(text)")
            #expect(try backend.version(key.partition, key) == record.version, "\(text)")
        }
        for (scope, name, value) in FixtureTests.metadata {
            #expect(try backend.metadata(scope, name) == value, "\(name)")
        }
        var found: [Key] = []
        for number in 0..<ConformanceSuite.partitions {
            found += try backend.scan(ScanRequest(partition: PartitionID(UInt16(number)), limit: 100)).entries.map(
                \.key)
        }
        #expect(try found.sorted() == FixtureTests.records.map { try Key($0.key) }.sorted())
        #expect(try backend.statistics().keys == UInt64(FixtureTests.records.count))
        // And it goes on in the same folder.
        try backend.put(Key("mykey"), [5], 99)
        #expect(try backend.value(Key("mykey")) == [5])
        try backend.close()
    }

    private static let target = ProcessInfo.processInfo.environment["KV_WRITE_FIXTURES"]

    @Test("writes archives where KV_WRITE_FIXTURES says", .enabled(if: target != nil), arguments: engines)
    func write(engine: Engine) throws {
        let target = try #require(FixtureTests.target)
        let folder = try TestFolder()
        let backend = try engine.open(folder)
        try backend.put(Key("purged"), [1])
        try backend.apply(
            FixtureTests.records.map { text, record in
                let key = try Key(text)
                return .put(key.partition, key, record)
            } + FixtureTests.metadata.map { .metadata($0.scope, $0.name, $0.value) })
        try backend.apply([.purge(Key("purged").partition, Key("purged"))])
        try backend.close()
        #expect(
            output(
                of: "/bin/tar",
                [
                    "--xattrs", "--xattrs-include=user.*", "--owner=0", "--group=0", "-czf",
                    "\(target)/\(engine.factory.type).tar.gz", "-C", folder.path, ".",
                ]) != nil)
    }
}
