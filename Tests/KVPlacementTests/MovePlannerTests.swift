import KVPlacement
import KVProtocols
import Testing

@Suite struct MovePlannerTests {
    private func planned(_ count: Int, lost: [Int] = [], down: [Int] = [], draining: [Int] = []) -> [MovePlanner.Node] {
        (1...count).map { number in
            MovePlanner.Node(
                id: NodeID(UInt32(number)),
                condition: lost.contains(number) ? .lost : down.contains(number) ? .down : .up,
                isDraining: draining.contains(number))
        }
    }

    private func input(
        _ partitions: [Configuration], _ nodes: [MovePlanner.Node], synced: Bool = true, halted: Bool = false
    ) -> MovePlanner.Input {
        MovePlanner.Input(
            partitions: partitions, nodes: nodes, policy: .standard,
            leaders: partitions.map { MovePlanner.Leader(epoch: $0.epoch, isSynced: synced) }, isHalted: halted)
    }

    private func initial(_ count: Int, partitions: Int = 16) -> [Configuration] {
        Assignment.initial(nodes: nodes(count), partitions: partitions, replicas: 3).map { Configuration(initial: $0) }
    }

    private func move(_ old: [NodeID], to new: [NodeID]) throws -> Configuration {
        try #require(Configuration(initial: old).moving(to: new))
    }

    @Test func aHealthyClusterIsLeftAlone() {
        var planner = MovePlanner()
        for count in 1...9 { #expect(planner.plan(input(initial(count), planned(count))).isEmpty) }
    }

    @Test func aDownNodeIsWaitedForAndALostOneReplaced() {
        var planner = MovePlanner(limit: 4)
        #expect(planner.plan(input(initial(4), planned(4, down: [2]))).isEmpty)
        let steps = planner.plan(input(initial(4), planned(4, lost: [2])))
        #expect(steps.count == 4, "no more than the limit")
        for step in steps {
            #expect(step.kind == .start(.repair))
            #expect(step.configuration.previous?.contains(NodeID(2)) == true)
            #expect(!step.configuration.members.contains(NodeID(2)))
        }
    }

    @Test func noNodeReceivesOrSendsMoreThanItsLimit() {
        var planner = MovePlanner(limit: 32, limitPerNode: 2)
        let partitions = initial(6, partitions: 64)
        var turn = input(partitions, planned(7))
        turn.leaders = partitions.map {
            MovePlanner.Leader(epoch: $0.epoch, isSynced: true, node: $0.members[0])
        }
        let added = planner.plan(turn)
        let newcomers = added.filter { $0.configuration.isJoint }
        #expect(newcomers.count == 2, "the new node receives all copies")
        #expect(planner.waiting > 16)

        turn.nodes = planned(6, lost: [1])
        let repairs = planner.plan(turn)
        for node in 2...6 {
            let id = NodeID(UInt32(node))
            let receives = repairs.count {
                $0.configuration.members.contains(id) && $0.configuration.previous?.contains(id) == false
            }
            let sends = repairs.count { turn.leaders[$0.partition]?.node == id }
            #expect(receives <= 2 && sends <= 2)
        }
        #expect(!repairs.isEmpty)
        let damaged = partitions.count { $0.contains(NodeID(1)) }
        #expect(repairs.count + planner.waiting == damaged)
    }

    @Test func movesUnderWayCountAfterARestart() throws {
        let moving = try move(ids(1, 2, 3), to: ids(1, 3, 4))
        var planner = MovePlanner(limit: 8, limitPerNode: 1)
        let steps = planner.plan(
            input([moving, Configuration(initial: ids(1, 2, 3))], planned(4, lost: [2]), synced: false))
        #expect(steps.isEmpty, "node 4 receives a copy already")
        #expect(planner.waiting == 1)
    }

    @Test func aRepairIsRevertedAfterARestartToo() throws {
        let moving = try move(ids(1, 2, 3), to: ids(1, 3, 4))
        var planner = MovePlanner(repairing: [0])
        #expect(planner.plan(input([moving], planned(4), synced: false)).map(\.kind) == [.revert])
    }

    @Test func anAlarmStopsStartsButNotEnds() throws {
        var planner = MovePlanner()
        #expect(planner.plan(input(initial(4), planned(4, lost: [2]), halted: true)).isEmpty)
        let moving = try move(ids(1, 2, 3), to: ids(1, 3, 4))
        let steps = planner.plan(input([moving], planned(4, lost: [2]), halted: true))
        #expect(steps.map(\.kind) == [.finish])
    }

    @Test func aMoveEndsOnlyWhenTheLeaderOfThatEpochIsSynced() throws {
        var planner = MovePlanner()
        let moving = try move(ids(1, 2, 3), to: ids(1, 3, 4))
        #expect(planner.plan(input([moving], planned(4, lost: [2]), synced: false)).isEmpty)
        var stale = input([moving], planned(4, lost: [2]))
        stale.leaders = [MovePlanner.Leader(epoch: moving.epoch - 1, isSynced: true)]
        #expect(planner.plan(stale).isEmpty)
        let steps = planner.plan(input([moving], planned(4, lost: [2])))
        #expect(steps.map(\.configuration) == [moving.finishingMove()])
    }

    @Test func aMoveEndsOnlyWhenANewMemberThatIsUpIsFilled() throws {
        let moving = try move(ids(1, 2, 3), to: ids(1, 3, 4))
        func plan(_ nodes: [MovePlanner.Node], lagging: [NodeID]) -> [MovePlanner.Step.Kind] {
            var planner = MovePlanner()
            var turn = input([moving], nodes)
            turn.leaders = [MovePlanner.Leader(epoch: moving.epoch, isSynced: true, lagging: lagging)]
            return planner.plan(turn).map(\.kind)
        }
        #expect(plan(planned(4, lost: [2]), lagging: ids(4)) == [])
        #expect(plan(planned(4, lost: [2]), lagging: ids(3)) == [.finish], "that is not what the move is for")
        #expect(plan(planned(4, lost: [2]), lagging: []) == [.finish])
        #expect(plan(planned(4, lost: [2], down: [4]), lagging: ids(4)) == [.finish], "a quorum is enough")
    }

    @Test func noMoveStartsWithoutALiveQuorumOfTheOldMembers() {
        var planner = MovePlanner()
        let steps = planner.plan(input([Configuration(initial: ids(1, 2, 3))], planned(6, lost: [1, 2])))
        #expect(steps.isEmpty)
    }

    @Test func theMostEndangeredPartitionComesFirst() throws {
        var planner = MovePlanner(limit: 1)
        let partitions = [Configuration(initial: ids(1, 4, 5, 6, 7)), Configuration(initial: ids(1, 2, 3, 4, 5))]
        var turn = input(partitions, planned(8, lost: [1], down: [2]))
        turn.policy = try ReplicationPolicy(replicas: 5, write: 3, read: 3)
        #expect(planner.plan(turn).map(\.partition) == [1])
    }

    @Test func aRepairIsRevertedWhenTheLostMemberReturns() throws {
        var planner = MovePlanner()
        let stable = [Configuration(initial: ids(1, 2, 3))]
        let start = try #require(planner.plan(input(stable, planned(4, lost: [2]))).first)
        let steps = planner.plan(input([start.configuration], planned(4), synced: false))
        #expect(steps.map(\.kind) == [.revert])
        let back = try #require(steps.first?.configuration)
        #expect(back.previous == nil)
        #expect(back.members == ids(1, 2, 3))
        #expect(back.epoch == 3)
        #expect(back.joinEpoch(of: NodeID(2)) == 1, "it need not wipe")
    }

    @Test func aRebalancingMoveIsNotReverted() throws {
        var planner = MovePlanner()
        let moving = try move(ids(1, 2, 3), to: ids(1, 3, 4))
        #expect(planner.plan(input([moving], planned(4), synced: false)).isEmpty)
        // But when its target dies, the members before are whole: nothing needs to be copied.
        let steps = planner.plan(input([moving], planned(4, lost: [4]), synced: false))
        #expect(steps.map(\.kind) == [.revert])
    }

    @Test func aTargetThatDiesIsReplacedAndThePreviousSetStays() throws {
        var planner = MovePlanner()
        let moving = try move(ids(1, 2, 3), to: ids(1, 3, 4))
        let steps = planner.plan(input([moving], planned(5, lost: [2, 4]), synced: false))
        let step = try #require(steps.first)
        #expect(step.kind == .retarget)
        #expect(step.configuration.previous == ids(1, 2, 3))
        #expect(Set(step.configuration.members) == Set(ids(1, 3, 5)))
        #expect(step.configuration.epoch == 3)
    }

    @Test func aMemberOfBeforeIsPreferredToACopy() throws {
        var planner = MovePlanner()
        let moving = try move(ids(1, 2, 3), to: ids(1, 2, 4))
        // 2 dies in both sets; 3, which was to leave, has the data.
        let steps = planner.plan(input([moving], planned(5, lost: [2]), synced: false))
        #expect(Set(try #require(steps.first).configuration.members) == Set(ids(1, 3, 4)))
    }

    @Test func aReplacedIdentityCountsAsLost() throws {
        var planner = MovePlanner()
        let steps = planner.plan(input([Configuration(initial: ids(1, 9, 3))], planned(3)))
        #expect(steps.map(\.kind) == [.start(.repair)])
        #expect(Set(try #require(steps.first).configuration.members) == Set(ids(1, 2, 3)))
    }

    @Test func repairsGoBeforeDrainsAndDrainsBeforeBalance() {
        var planner = MovePlanner(limit: 2)
        let partitions = [Configuration(initial: ids(2, 3, 4)), Configuration(initial: ids(1, 3, 4))]
        let steps = planner.plan(input(partitions, planned(6, lost: [1], draining: [2])))
        #expect(steps.map(\.kind) == [.start(.repair), .start(.drain)])
        #expect(steps.map(\.partition) == [1, 0])
    }

    @Test func balancingWaitsForCalm() {
        var planner = MovePlanner()
        let partitions = initial(4)
        #expect(!planner.plan(input(partitions, planned(5))).isEmpty)
        #expect(planner.plan(input(partitions, planned(5, down: [3]))).isEmpty)
        var young = planned(5)
        young[4].isSettled = false
        #expect(planner.plan(input(partitions, young)).isEmpty)
        var leaderless = input(partitions, planned(5))
        leaderless.leaders[7] = nil
        #expect(planner.plan(leaderless).isEmpty)
    }

    @Test(arguments: 4...12)
    func aNewNodeGetsItsShareInBoundedRounds(count: Int) {
        var planner = MovePlanner(limit: 8)
        var partitions = initial(count, partitions: 64)
        let all = planned(count + 1)
        for _ in 0..<200 {
            let steps = planner.plan(input(partitions, all))
            if steps.isEmpty { break }
            for step in steps { partitions[step.partition] = step.configuration }
            #expect(partitions.count(where: \.isJoint) <= 8)
        }
        let sets = partitions.map(\.members)
        #expect(partitions.allSatisfy { !$0.isJoint })
        #expect(spread(loads(sets, nodes(count + 1))) <= 1)
        #expect(spread(leads(sets, nodes(count + 1))) <= 1)
    }
}
