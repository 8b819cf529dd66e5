public import KVProtocols

extension Assignment {
    /// The nearest assignment in which replicas lie in as many zones as possible, and replicas and preferred leaders
    /// are spread by weight: with equal weights the numbers of any two nodes differ by one at most. Zones come first:
    /// where they leave no choice, numbers differ more.
    ///
    /// Moves no more replicas than that takes. Members that may not stay are left to `repaired`.
    /// O(moves x (partitions + nodes^2)).
    public static func balanced(_ current: [[NodeID]], nodes: [PlacementNode], replicas: Int) -> [[NodeID]] {
        var balance = Balance(current, roster: Roster(nodes), replicas: replicas)
        balance.spreadOverZones()
        balance.evenOutReplicas()
        balance.evenOutLeaders()
        return balance.sets
    }
}

/// An assignment being evened out.
private struct Balance {
    private(set) var sets: [[NodeID]]
    private let roster: Roster
    private let wantedZones: Int
    private var load: [Int]
    private var leads: [Int]

    init(_ sets: [[NodeID]], roster: Roster, replicas: Int) {
        self.sets = sets
        self.roster = roster
        let usable = roster.nodes.indices.filter { roster.nodes[$0].accepts || roster.nodes[$0].keeps }
        wantedZones = min(replicas, Set(usable.map { roster.zone[$0] }).count)
        load = Array(repeating: 0, count: roster.nodes.count)
        leads = load
        for members in sets {
            for node in members { roster.position(of: node).map { load[$0] += 1 } }
            members.first.flatMap(roster.position).map { leads[$0] += 1 }
        }
    }

    private mutating func replace(_ old: Int, by new: Int, in partition: Int) {
        guard let slot = sets[partition].firstIndex(of: roster.nodes[old].id) else { return }
        sets[partition][slot] = roster.nodes[new].id
        load[old] -= 1
        load[new] += 1
        if slot == 0 {
            leads[old] -= 1
            leads[new] += 1
        }
    }

    /// How the number of zones changes, when `new` takes the place of `old`.
    private func zonesGained(_ partition: Int, from old: Int, to new: Int) -> Int {
        var members = sets[partition]
        let before = roster.spread(members)
        members.removeAll { $0 == roster.nodes[old].id }
        return roster.spread(members + [roster.nodes[new].id]) - before
    }

    mutating func spreadOverZones() {
        for partition in sets.indices where roster.spread(sets[partition]) < min(wantedZones, sets[partition].count) {
            while let (old, new) = betterZone(for: partition) { replace(old, by: new, in: partition) }
        }
    }

    private func betterZone(for partition: Int) -> (old: Int, new: Int)? {
        let members = sets[partition].compactMap(roster.position)
        // The most loaded member whose zone has another one makes room, a follower rather than the preferred leader.
        let crowded = members.filter { member in
            roster.nodes[member].keeps && members.count { roster.zone[$0] == roster.zone[member] } > 1
        }
        let leader = sets[partition].first.flatMap(roster.position)
        let followers = crowded.filter { $0 != leader }
        let old = roster.ascending(followers.isEmpty ? crowded : followers) { -load[$0] }.first
        let candidates = roster.nodes.indices.filter { candidate in
            roster.nodes[candidate].accepts && !members.contains { roster.zone[$0] == roster.zone[candidate] }
        }
        let new = roster.ascending(candidates) { 2 * load[$0] + 1 }.first
        guard let old, let new else { return nil }
        return (old, new)
    }

    mutating func evenOutReplicas() {
        while let (partition, old, new) = nextReplica() { replace(old, by: new, in: partition) }
    }

    /// One replica of the fullest node that the emptiest may take. Where zones forbid every one of them, or the emptiest
    /// holds them all, the next pair is tried.
    private func nextReplica() -> (partition: Int, old: Int, new: Int)? {
        let nodes = roster.nodes
        let givers = roster.ascending(nodes.indices.filter { nodes[$0].keeps }) { 1 - 2 * load[$0] }
        let takers = roster.ascending(nodes.indices.filter { nodes[$0].accepts }) { 1 + 2 * load[$0] }
        for old in givers {
            for new in takers {
                guard roster.evensOut(load, from: old, to: new) else { break }
                if let partition = partitionToMove(from: old, to: new) { return (partition, old, new) }
            }
        }
        return nil
    }

    private func partitionToMove(from old: Int, to new: Int) -> Int? {
        let (oldID, newID) = (roster.nodes[old].id, roster.nodes[new].id)
        // Giving the preferred leadership along helps while the taker leads less; otherwise followers move.
        let prefersLeader = roster.evensOut(leads, from: old, to: new)
        var second: Int?
        for partition in sets.indices {
            let members = sets[partition]
            guard members.contains(oldID), !members.contains(newID), zonesGained(partition, from: old, to: new) >= 0
            else { continue }
            if (members.first == oldID) == prefersLeader { return partition }
            if second == nil { second = partition }
        }
        return second
    }

    mutating func evenOutLeaders() {
        while let path = nextLeaderPath() {
            // Each node of the path hands one partition to the next one: only the two ends change their numbers.
            for (from, partition, to) in path {
                let id = roster.nodes[to].id
                guard let slot = sets[partition].firstIndex(of: id) else { continue }
                sets[partition].swapAt(0, slot)
                leads[from] -= 1
                leads[to] += 1
            }
        }
    }

    private typealias Hop = (from: Int, partition: Int, to: Int)

    private func nextLeaderPath() -> [Hop]? {
        let keepers = roster.nodes.indices.filter { roster.nodes[$0].keeps && load[$0] > 0 }
        for from in roster.ascending(keepers, by: { 1 - 2 * leads[$0] }) {
            guard keepers.contains(where: { roster.evensOut(leads, from: from, to: $0) }) else { return nil }
            if let path = shortestPath(from: from, among: keepers) { return path }
        }
        return nil
    }

    /// Breadth first over "leads a partition of which the other is a member", to the nearest node that leads too few
    /// compared with the start.
    private func shortestPath(from start: Int, among keepers: [Int]) -> [Hop]? {
        var hopTo: [Hop?] = Array(repeating: nil, count: roster.nodes.count)
        var led: [[Int]] = Array(repeating: [], count: roster.nodes.count)
        for partition in sets.indices {
            sets[partition].first.flatMap(roster.position).map { led[$0].append(partition) }
        }
        var queue = [start]
        var head = 0
        while head < queue.count {
            let from = queue[head]
            head += 1
            for partition in led[from] {
                for to in sets[partition].dropFirst().compactMap(roster.position) {
                    guard to != start, hopTo[to] == nil, roster.nodes[to].keeps else { continue }
                    hopTo[to] = (from, partition, to)
                    if roster.evensOut(leads, from: start, to: to) {
                        return path(to: to, from: start, hops: hopTo)
                    }
                    queue.append(to)
                }
            }
        }
        return nil
    }

    private func path(to end: Int, from start: Int, hops: [Hop?]) -> [Hop] {
        var path: [Hop] = []
        var at = end
        while at != start, let hop = hops[at] {
            path.insert(hop, at: 0)
            at = hop.from
        }
        return path
    }
}
