import KVProtocols
import Testing

@Suite struct ReplicationTests {
    private func nodes(_ numbers: UInt32...) -> [NodeID] { numbers.map { NodeID($0) } }

    @Test("a policy that could miss the newest write is refused")
    func rules() throws {
        #expect(throws: PolicyError.disjoint(read: 1, write: 2, replicas: 3)) {
            try ReplicationPolicy(replicas: 3, write: 2, read: 1)
        }
        #expect(throws: PolicyError.replicas(0)) { try ReplicationPolicy(replicas: 0, write: 1, read: 1) }
        #expect(throws: PolicyError.replicas(10)) { try ReplicationPolicy(replicas: 10, write: 9, read: 9) }
        #expect(throws: PolicyError.write(4, replicas: 3)) { try ReplicationPolicy(replicas: 3, write: 4, read: 3) }
        #expect(throws: PolicyError.read(0, replicas: 3)) { try ReplicationPolicy(replicas: 3, write: 3, read: 0) }
        #expect(try ReplicationPolicy(replicas: 3, write: 2, read: 2) == .standard)
    }

    @Test("quorums meet in member sets of every size")
    func quorums() throws {
        for replicas in 1...9 {
            for write in 1...replicas {
                for read in (replicas - write + 1)...replicas {
                    let policy = try ReplicationPolicy(replicas: replicas, write: write, read: read)
                    for members in 1...9 {
                        let needed = (policy.writeQuorum(of: members), policy.readQuorum(of: members))
                        #expect(needed.0 + needed.1 > members)
                        #expect(1...members ~= needed.0 && 1...members ~= needed.1)
                    }
                }
            }
        }
    }

    @Test("a move keeps the previous members until it is finished")
    func moving() throws {
        let first = Configuration(initial: nodes(1, 2, 3))
        let moving = try #require(first.moving(to: nodes(1, 2, 4)))
        #expect(moving.epoch == 2 && moving.members == nodes(1, 2, 4) && moving.previous == nodes(1, 2, 3))
        #expect(moving.everyone == nodes(1, 2, 4, 3))
        #expect(moving.joinEpoch(of: NodeID(4)) == 2 && moving.joinEpoch(of: NodeID(1)) == 1)
        let finished = moving.finishingMove()
        #expect(finished.epoch == 3 && finished.members == nodes(1, 2, 4) && !finished.isJoint)
        #expect(finished.joinEpoch(of: NodeID(3)) == nil && finished.joinEpoch(of: NodeID(4)) == 2)
    }

    @Test("a move may change its mind about the new members only")
    func changingMind() throws {
        let moving = try #require(Configuration(initial: nodes(1, 2, 3)).moving(to: nodes(1, 2, 4)))
        let other = try #require(moving.moving(to: nodes(1, 2, 5)))
        #expect(other.epoch == 3 && other.previous == nodes(1, 2, 3) && !other.contains(NodeID(4)))
        let back = try #require(moving.moving(to: nodes(1, 2, 3)))
        #expect(back.epoch == 3 && !back.isJoint && back.members == nodes(1, 2, 3))
        #expect(moving.moving(to: nodes(1, 2, 4)) == nil)
        // Node 4 was dropped and comes back: whatever it kept is from another stay.
        let again = try #require(other.moving(to: nodes(1, 2, 4)))
        #expect(again.joinEpoch(of: NodeID(4)) == 4)
    }

    @Test("a change of order alone is no move, and no change is none")
    func order() throws {
        let first = Configuration(initial: nodes(1, 2, 3))
        #expect(first.moving(to: nodes(1, 2, 3)) == nil)
        let reordered = try #require(first.moving(to: nodes(2, 1, 3)))
        #expect(!reordered.isJoint && reordered.members == nodes(2, 1, 3) && reordered.epoch == 2)
    }

    @Test("a joint configuration needs a quorum of both sets")
    func jointQuorum() throws {
        let moving = try #require(Configuration(initial: nodes(1, 2, 3)).moving(to: nodes(3, 4, 5)))
        let majority = { (members: Int) in members / 2 + 1 }
        #expect(!moving.isQuorum(nodes(1, 2), size: majority))
        #expect(!moving.isQuorum(nodes(4, 5), size: majority))
        #expect(moving.isQuorum(nodes(1, 3, 4), size: majority))
    }

    @Test("a digest doesn't depend on the order of updates")
    func digests() throws {
        let keys = try (0..<200).map { try Key("key-\($0)") }
        func version(_ number: Int) -> Version {
            Version(ballot: Ballot(counter: 1, node: NodeID(1)), sequence: UInt64(number))
        }
        var forward = PartitionDigest()
        for (number, key) in keys.enumerated() { forward.update(key, from: nil, to: version(number), seed: 9) }
        var backward = PartitionDigest()
        for (number, key) in keys.enumerated().reversed() {
            backward.update(key, from: nil, to: version(1000), seed: 9)
            backward.update(key, from: version(1000), to: version(number), seed: 9)
        }
        #expect(forward == backward)
        #expect(forward.differing(from: backward) == 0)
        backward.update(keys[5], from: version(5), to: version(6), seed: 9)
        #expect(forward.differing(from: backward) == 1 << UInt64(PartitionDigest.bucket(of: keys[5])))
        for (number, key) in keys.enumerated() { forward.update(key, from: version(number), to: nil, seed: 9) }
        #expect(forward == PartitionDigest())
        #expect(
            PartitionDigest.hash(keys[0], version(1), seed: 1) != PartitionDigest.hash(keys[0], version(1), seed: 2))
    }

    @Test("a digest is made of exactly its buckets")
    func buckets() {
        #expect(PartitionDigest(buckets: [1, 2]) == nil)
        #expect(PartitionDigest(buckets: PartitionDigest().buckets) == PartitionDigest())
    }
}
