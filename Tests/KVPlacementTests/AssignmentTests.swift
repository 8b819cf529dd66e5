import KVPlacement
import KVProtocols
import Testing

/// A small generator, so that a failing case can be repeated by its seed.
struct Random {
    var state: UInt64

    mutating func next(below bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
}

func ids(_ numbers: Int...) -> [NodeID] { numbers.map { NodeID(UInt32($0)) } }

func nodes(_ count: Int, zones: Int = 0) -> [PlacementNode] {
    (1...count).map { PlacementNode(id: NodeID(UInt32($0)), zone: zones == 0 ? "" : "zone\($0 % zones)") }
}

func loads(_ sets: [[NodeID]], _ nodes: [PlacementNode]) -> [Int] {
    nodes.map { node in sets.count { $0.contains(node.id) } }
}

func leads(_ sets: [[NodeID]], _ nodes: [PlacementNode]) -> [Int] {
    nodes.map { node in sets.count { $0.first == node.id } }
}

func spread(_ numbers: [Int]) -> Int { (numbers.max() ?? 0) - (numbers.min() ?? 0) }

/// How many replicas must be copied.
func copies(from old: [[NodeID]], to new: [[NodeID]]) -> Int {
    zip(old, new).reduce(0) { sum, sets in sum + sets.1.count { !sets.0.contains($0) } }
}

@Suite struct AssignmentTests {
    @Test func theFirstMapGoesRoundTheNodes() {
        let sets = Assignment.initial(nodes: nodes(4), partitions: 64, replicas: 3)
        for (partition, members) in sets.enumerated() {
            #expect(members == (0..<3).map { NodeID(UInt32((partition + $0) % 4 + 1)) })
        }
        #expect(loads(sets, nodes(4)) == [48, 48, 48, 48])
    }

    @Test func fewerNodesThanReplicasGiveSmallerSets() {
        #expect(Assignment.initial(nodes: nodes(2), partitions: 2, replicas: 3) == [ids(1, 2), ids(2, 1)])
        #expect(Assignment.initial(nodes: [], partitions: 1, replicas: 3) == [[]])
    }

    @Test(arguments: [2, 3, 4])
    func theFirstMapKeepsReplicasInDifferentZones(zones: Int) {
        let all = nodes(zones * 2, zones: zones)
        let sets = Assignment.initial(nodes: all, partitions: 64, replicas: 3)
        let zone = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0.zone) })
        for members in sets { #expect(Set(members.map { zone[$0] }).count == min(3, zones)) }
        #expect(spread(loads(sets, all)) <= 1)
        #expect(spread(leads(sets, all)) <= 1)
    }

    @Test(arguments: 1...60)
    func balanceIsReachedWithTheFewestMoves(seed: Int) {
        var random = Random(state: UInt64(seed))
        let count = 4 + random.next(below: 8)
        let before = Assignment.initial(nodes: nodes(count), partitions: 64, replicas: 3)
        let all = nodes(count + 1 + random.next(below: 2))
        let after = Assignment.balanced(before, nodes: all, replicas: 3)
        #expect(spread(loads(after, all)) <= 1)
        #expect(spread(leads(after, all)) <= 1)
        for members in after { #expect(Set(members).count == 3) }
        // What the fullest have too much, or the emptiest too little: fewer copies can't be enough.
        let (low, rest) = (64 * 3 / all.count, 64 * 3 % all.count)
        let old = loads(before, all).sorted(by: >)
        let missing = old.enumerated().reduce(0) { $0 + max(0, (($1.offset < rest) ? low + 1 : low) - $1.element) }
        #expect(copies(from: before, to: after) == missing)
        #expect(Assignment.balanced(before, nodes: all, replicas: 3) == after, "deterministic")
        #expect(Assignment.balanced(after, nodes: all, replicas: 3) == after, "stable")
    }

    @Test(arguments: 1...60)
    func aRepairReplacesOnlyWhatIsLost(seed: Int) {
        var random = Random(state: UInt64(seed))
        let count = 4 + random.next(below: 8)
        let before = Assignment.initial(nodes: nodes(count), partitions: 64, replicas: 3)
        var all = nodes(count)
        let lost = random.next(below: count)
        (all[lost].keeps, all[lost].accepts, all[lost].isLive) = (false, false, false)
        let after = Assignment.repaired(before, nodes: all, replicas: 3)
        #expect(copies(from: before, to: after) == loads(before, all)[lost])
        for (old, new) in zip(before, after) {
            #expect(Set(new).count == 3)
            #expect(!new.contains(all[lost].id))
            if !old.contains(all[lost].id) { #expect(old == new) }
            #expect(old.filter { $0 != all[lost].id }.allSatisfy(new.contains))
        }
        let others = all.filter { $0.id != all[lost].id }
        #expect(spread(loads(after, others)) <= 3)
        let even = Assignment.balanced(after, nodes: all, replicas: 3)
        #expect(spread(loads(even, others)) <= 1)
        #expect(spread(leads(even, others)) <= 1)
    }

    @Test func withoutASubstituteTheLostMemberStaysListed() {
        var all = nodes(3)
        (all[0].keeps, all[0].accepts, all[0].isLive) = (false, false, false)
        let after = Assignment.repaired([ids(1, 2, 3)], nodes: all, replicas: 3)
        #expect(after == [ids(2, 3, 1)])
    }

    @Test func setsGrowWhenNodesCome() {
        #expect(Assignment.repaired([ids(1)], nodes: nodes(3), replicas: 3) == [ids(1, 2, 3)])
    }

    @Test func aSubstituteComesFromAZoneThatIsLacking() {
        var all = ["a", "b", "c", "b", "c"].enumerated().map {
            PlacementNode(id: NodeID(UInt32($0 + 1)), zone: $1)
        }
        (all[2].keeps, all[2].accepts) = (false, false)
        #expect(Assignment.repaired([ids(1, 2, 3)], nodes: all, replicas: 3) == [ids(1, 2, 5)])
    }

    @Test func aDrainingNodeIsEmptied() {
        var all = nodes(4)
        (all[1].keeps, all[1].accepts) = (false, false)
        let before = Assignment.initial(nodes: nodes(4), partitions: 64, replicas: 3)
        let after = Assignment.repaired(before, nodes: all, replicas: 3)
        #expect(after.allSatisfy { !$0.contains(NodeID(2)) && $0.count == 3 })
    }

    @Test func oneNodeInAZoneOfItsOwnIsInEverySet() {
        let all = ["a", "b", "b", "b"].enumerated().map { PlacementNode(id: NodeID(UInt32($0 + 1)), zone: $1) }
        let sets = Assignment.initial(nodes: all, partitions: 60, replicas: 2)
        #expect(loads(sets, all) == [60, 20, 20, 20])
        #expect(spread(leads(sets, all)) <= 1)
    }
}
