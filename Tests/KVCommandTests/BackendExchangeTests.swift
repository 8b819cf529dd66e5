import Foundation
import KVProtocols
import Testing

@testable import kv

/// When a node may give up the data of a backend that was exchanged.
@Suite struct BackendExchangeTests {
    private func obstacle(
        members: [String] = ["a", "b", "c"], previous: [String]? = nil, synced: Bool = true, lagging: [String] = [],
        working: Set<String> = ["b", "c"]
    ) throws -> String? {
        let policy = try ReplicationPolicy(replicas: 3, write: 2, read: 2)
        let partition = PartitionsDocument.Partition(
            partition: 7, members: members, previous: previous, synced: synced, lagging: lagging)
        return PartitionsDocument(partitions: [partition]).obstacle(
            toEmptying: "a", working: working, policy: policy)
    }

    @Test func `nothing is in the way while all others are complete`() throws {
        #expect(try obstacle() == nil)
        #expect(try obstacle(lagging: ["a"], working: ["b", "c", "d"]) == nil)
        #expect(try obstacle(members: ["b", "c"], synced: false, working: []) == nil, "a partition of others")
    }

    @Test func `what the others lack is in the way`() throws {
        #expect(try obstacle(working: ["c"])?.contains("b, which holds partition 7, is not up") == true)
        #expect(try obstacle(lagging: ["c"])?.contains("c lags") == true)
        #expect(try obstacle(synced: false)?.contains("compared") == true)
        #expect(try obstacle(previous: ["a", "b"])?.contains("moved") == true)
    }

    @Test func `two members can't do without one of them`() throws {
        #expect(try obstacle(members: ["a", "b"])?.contains("too few") == true)
        #expect(try obstacle(members: ["a"])?.contains("too few") == true)
    }

    @Test func `a controller without a map says nothing of the data`() throws {
        let policy = try ReplicationPolicy(replicas: 3, write: 2, read: 2)
        let reason = PartitionsDocument(partitions: []).obstacle(toEmptying: "a", working: ["b", "c"], policy: policy)
        #expect(reason?.contains("no cluster map") == true)
    }
}
