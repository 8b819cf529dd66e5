import Foundation
import KVFileBackend
import KVProtocols
import KVReplication
import KVStorage
import Testing

@testable import KVNode

/// Bits flip in records that no client reads.
@Suite(.serialized) struct ScrubTests {
    private static let text = "a value that lies there and is not read"

    private func put(_ node: Node, _ key: String, _ value: String) async throws {
        let answer = await node.execute(
            .put(try Key(key), value: Array(value.utf8), expiresAt: 0, .none), timeoutMilliseconds: 30_000)
        guard case .written = answer.outcome else { throw TestFailure(what: "a put, got \(answer.outcome)") }
    }

    private func file(_ cluster: TestCluster, _ member: TestCluster.Member, _ key: String) -> URL {
        cluster.folder.appending(path: member.name).appending(path: key)
    }

    private func content(_ url: URL) -> String? {
        (try? Data(contentsOf: url)).map { String(decoding: $0, as: UTF8.self) }
    }

    private func flip(_ url: URL) throws {
        let handle = try FileHandle(forUpdating: url)
        try handle.seek(toOffset: 3)
        try handle.write(contentsOf: Data([UInt8(ascii: "#")]))
        try handle.close()
    }

    private func counter(_ name: String, _ member: TestCluster.Member) async -> UInt64 {
        await member.node.status().counters.first { $0.name == name }?.value ?? 0
    }

    /// A member that leads the key, or follows, as soon as one says that it leads: amid an election nobody does.
    private func member(
        of key: String, leads: Bool, among members: [TestCluster.Member]
    ) async throws -> TestCluster.Member {
        var found: TestCluster.Member?
        try await eventually("\(key) has a leader") {
            let replicas = await members[0].node.replicas(of: try Key(key)).replicas
            guard replicas.contains(where: \.isLeader) else { return false }
            found = members.first { $0.name == replicas.first { $0.isLeader == leads }?.node }
            return found != nil
        }
        return try #require(found)
    }

    @Test(arguments: [true, false])
    func `a flipped bit heals although nobody reads the key`(onLeader: Bool) async throws {
        let cluster = try TestCluster(nodes: 3, scrubBytesPerSecond: 64 << 20)
        let members = try cluster.startAll()
        for index in 0..<12 { try await put(members[index % 3].node, "key\(index)", Self.text) }
        for member in members {
            for index in 0..<12 {
                try await eventually("key\(index) is in the backend of \(member.name)") {
                    content(file(cluster, member, "key\(index)")) == Self.text
                }
            }
        }
        var damaged: [(member: TestCluster.Member, url: URL)] = []
        for index in 0..<12 {
            let member = try await member(of: "key\(index)", leads: onLeader, among: members)
            let url = file(cluster, member, "key\(index)")
            try flip(url)
            damaged.append((member, url))
        }
        for (member, url) in damaged {
            try await eventually("\(url.lastPathComponent) is whole again on \(member.name)", seconds: 60) {
                content(url) == Self.text
            }
        }
        var found: UInt64 = 0
        var replaced: UInt64 = 0
        for member in members {
            found += await counter("scrub_damaged", member)
            replaced += await counter("damaged_records", member)
            #expect(await counter("scrub_passes", member) > 0)
            try await eventually("nothing waits on \(member.name)") {
                await member.node.status().reasons.isEmpty
            }
        }
        #expect(found >= 1 && found <= 12)
        #expect(replaced >= found)
        for index in 0..<12 {
            let answer = await members[index % 3].node.execute(
                .get(try Key("key\(index)")), timeoutMilliseconds: 10_000)
            guard case .value(let record) = answer.outcome else {
                throw TestFailure(what: "a read, got \(answer.outcome)")
            }
            #expect(record.value == Array(Self.text.utf8))
        }
        try await cluster.end(members)
    }

    /// Nothing scrubs here: a listing is the first to see it, as it reads the values.
    @Test func `a listing does not leave out what is damaged`() async throws {
        let cluster = try TestCluster(nodes: 3)
        let members = try cluster.startAll()
        for index in 0..<6 { try await put(members[index % 3].node, "key\(index)", Self.text) }
        for member in members {
            for index in 0..<6 {
                try await eventually("key\(index) is in the backend of \(member.name)") {
                    content(file(cluster, member, "key\(index)")) == Self.text
                }
            }
        }
        // Amid an election another one may read the page, and nobody what is damaged: then once more.
        try await eventually("a leader's damaged record is replaced because of a listing", seconds: 60) {
            let leader = try await member(of: "key3", leads: true, among: members)
            // The file is there before the overlay lets go of the record.
            try await eventually("\(leader.name) reads from its backend") {
                await leader.node.engine.report()?.overlayBytes == 0
            }
            let damaged = file(cluster, leader, "key3")
            if content(damaged) == Self.text { try flip(damaged) }
            let request = ListRequest(prefix: [], after: nil, limit: 100, values: true, localOnly: false)
            try await eventually("a page is whole again") {
                let page = await members[1].node.list(request)
                #expect(page.entries.count == 6 || !page.incomplete.isEmpty, "a key is missing without a word")
                return page.entries.count == 6 && page.incomplete.isEmpty
            }
            guard try await member(of: "key3", leads: true, among: members).name == leader.name else { return false }
            try await eventually("the record is whole again") { content(damaged) == Self.text }
            return true
        }
        try await cluster.end(members)
    }

    @Test func `files that vanished while the nodes were down come back, although nobody reads them`() async throws {
        let cluster = try TestCluster(nodes: 3, scrubBytesPerSecond: 64 << 20)
        var members = try cluster.startAll()
        for index in 0..<12 { try await put(members[index % 3].node, "key\(index)", Self.text) }
        for member in members { try await cluster.stop(member) }
        let lost = (0..<12).map { file(cluster, members[0], "key\($0)") }
        for url in lost { try FileManager.default.removeItem(at: url) }
        members = try cluster.startAll()
        for url in lost {
            try await eventually("\(url.lastPathComponent) is back", seconds: 60) { content(url) == Self.text }
        }
        for index in 0..<12 {
            for member in members { #expect(content(file(cluster, member, "key\(index)")) == Self.text) }
        }
        #expect(await counter("scrub_inconsistent", members[0]) > 0)
        #expect(await counter("scrub_inconsistent", members[1]) == 0)
        try await cluster.end(members)
    }

    // MARK: One partition's store

    private struct Fixture {
        let folder: URL
        let backend: any StorageBackend
        let storage: NodeStorage
        let partition: PartitionID
        let keys: [Key]

        init() throws {
            folder = FileManager.default.temporaryDirectory.appending(path: "kv-scrub-tests-\(UUID().uuidString)")
            let dataFolder = try DataFolder(path: folder.path, backendType: "file")
            backend = try FileBackend.factory.open(BackendContext(path: folder.path, partitions: 1))
            partition = PartitionID(0)
            keys = try (0..<20).map { try Key("key\($0)") }
            try backend.apply(keys.map { .put(PartitionID(0), $0, Fixture.record($0, 5)) })
            storage = try NodeStorage(
                folder: dataFolder, backend: backend, partitions: 1,
                settings: NodeStorage.Settings(seed: 7, segmentBytes: 1 << 20), notify: { _ in })
        }

        static func record(_ key: Key, _ sequence: UInt64) -> Record {
            Record(
                key: key, version: Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: sequence),
                value: Array("value".utf8))
        }

        func end() throws {
            try storage.stop()
            try FileManager.default.removeItem(at: folder)
        }
    }

    @Test(arguments: [5, 6] as [UInt64])
    func `what was found damaged counts as unknown until it is replaced`(sequence: UInt64) throws {
        let fixture = try Fixture()
        var store = PartitionStore(partition: fixture.partition, storage: fixture.storage)
        let key = fixture.keys[3]
        let before = store.digest
        try flip(fixture.folder.appending(path: "key3"))
        let isNew = [store.damaged.insert(key), store.damaged.insert(key)]
        #expect(isNew == [true, false])
        guard case .damaged = store.version(of: key), case .damaged = store.record(of: key) else {
            throw TestFailure(what: "a damaged record without a version")
        }
        let bucket: UInt64 = 1 << UInt64(PartitionDigest.bucket(of: key))
        #expect(store.digest.differing(from: before) == bucket)
        let page = try #require(store.walk(buckets: .max, after: nil))
        #expect(page.entries.filter { $0.version == .zero }.map(\.key) == [key])
        store.put(key, Fixture.record(key, sequence), replacing: .damaged)
        #expect(store.record(of: key).value == Fixture.record(key, sequence))
        #expect(store.damaged.keys.isEmpty)
        #expect(store.replacedDamaged == 1)
        var expected = before
        expected.update(
            key, from: Fixture.record(key, 5).version, to: Fixture.record(key, sequence).version, seed: 7)
        #expect(store.digest == expected)
        try fixture.end()
    }

    @Test func `a damaged header is no reason to keep what is older than it says`() throws {
        let fixture = try Fixture()
        let key = fixture.keys[4]
        // The header now names a version that never was; nothing can tell that before the checksum is looked at.
        let wrong = Record(
            version: Fixture.record(key, 1 << 40).version, value: Array("value".utf8), expiresAt: 0,
            checksum: Fixture.record(key, 5).checksum)
        try fixture.backend.apply([.put(fixture.partition, key, wrong)])
        var store = PartitionStore(partition: fixture.partition, storage: fixture.storage)
        let before = store.digest
        _ = store.damaged.insert(key)
        store.put(key, Fixture.record(key, 5), replacing: .damaged)
        #expect(store.digest == before)
        #expect(store.record(of: key).value == Fixture.record(key, 5))
        try fixture.end()
    }
}
