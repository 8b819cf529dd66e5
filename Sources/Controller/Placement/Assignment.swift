public import KVProtocols

/// Which nodes shall hold which partition, the preferred leader first. All functions are deterministic: they depend on
/// the order of their arguments and on nothing else.
public enum Assignment {
    /// The first map: partition p on nodes p, p+1, ... modulo the number of nodes. Nodes of a zone that the partition
    /// has already are passed over as long as there are others.
    ///
    /// Fewer nodes than `replicas` give smaller sets. O(partitions x nodes).
    public static func initial(nodes: [PlacementNode], partitions: Int, replicas: Int) -> [[NodeID]] {
        let roster = Roster(nodes)
        guard !nodes.isEmpty else { return Array(repeating: [], count: partitions) }
        let ring = (0..<partitions).map { partition in
            var chosen: [Int] = []
            let order = (0..<nodes.count).map { (partition + $0) % nodes.count }
            for newZonesOnly in [true, false] {
                for position in order where chosen.count < replicas && !chosen.contains(position) {
                    let isTaken = chosen.contains { roster.zone[$0] == roster.zone[position] }
                    if !newZonesOnly || !isTaken { chosen.append(position) }
                }
            }
            return chosen.map { nodes[$0].id }
        }
        // Passing over nodes loads their neighbours more, and weights want other numbers: even that out while it costs
        // nothing.
        let isPlain = roster.zones == nodes.count && nodes.allSatisfy { $0.weight == nodes[0].weight }
        return isPlain ? ring : balanced(ring, nodes: nodes, replicas: replicas)
    }

    /// Replaces members that may not stay, and fills sets that are too small; touches nothing else.
    ///
    /// Substitutes come from zones that the partition lacks, then from the nodes with the fewest replicas for their
    /// weight. Where there
    /// is no substitute the member stays listed: a smaller set would survive fewer failures. O(partitions x nodes).
    public static func repaired(_ current: [[NodeID]], nodes: [PlacementNode], replicas: Int) -> [[NodeID]] {
        let roster = Roster(nodes)
        var result = current
        var load = [Int](repeating: 0, count: nodes.count)
        var leads = load
        for members in current {
            for node in members where roster.keeps(node) { roster.position(of: node).map { load[$0] += 1 } }
            if let first = members.first, roster.keeps(first) { roster.position(of: first).map { leads[$0] += 1 } }
        }
        for (partition, members) in current.enumerated() {
            var kept = members.filter(roster.keeps)
            guard kept.count < members.count || members.count < replicas else { continue }
            if let first = members.first, !roster.keeps(first), !kept.isEmpty {
                promoteLeastLeading(&kept, roster: roster, leads: &leads)
            }
            while kept.count < replicas, let position = substitute(for: members, kept: kept, roster: roster, load: load)
            {
                kept.append(nodes[position].id)
                load[position] += 1
            }
            // Those that still answer before those that don't.
            let leaving = members.filter { !kept.contains($0) }
            let inOrder = leaving.filter(roster.isLive) + leaving.filter { !roster.isLive($0) }
            result[partition] = kept + inOrder.prefix(max(0, members.count - kept.count))
        }
        return result
    }

    private static func promoteLeastLeading(_ members: inout [NodeID], roster: Roster, leads: inout [Int]) {
        let order = members.indices.compactMap { index in
            roster.position(of: members[index]).map { (index: index, position: $0) }
        }
        let least = order.min { left, right in
            let (lefts, rights) = (2 * leads[left.position] + 1, 2 * leads[right.position] + 1)
            if roster.isLess(lefts, of: left.position, than: rights, of: right.position) { return true }
            if roster.isLess(rights, of: right.position, than: lefts, of: left.position) { return false }
            return left.index < right.index
        }
        guard let best = least else { return }
        members.insert(members.remove(at: best.index), at: 0)
        leads[best.position] += 1
    }

    private static func substitute(for members: [NodeID], kept: [NodeID], roster: Roster, load: [Int]) -> Int? {
        let zones = Set(kept.compactMap { roster.position(of: $0).map { roster.zone[$0] } })
        var best: (isTaken: Bool, position: Int)?
        for (position, node) in roster.nodes.enumerated() {
            guard node.accepts, !kept.contains(node.id), !members.contains(node.id) else { continue }
            let isTaken = zones.contains(roster.zone[position])
            let isBetter =
                best.map { best in
                    isTaken != best.isTaken
                        ? best.isTaken
                        : roster.isLess(
                            2 * load[position] + 1, of: position, than: 2 * load[best.position] + 1, of: best.position)
                } ?? true
            if isBetter { best = (isTaken, position) }
        }
        return best?.position
    }
}
